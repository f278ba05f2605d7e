//! The API's resources, as the command line shows them.

use serde_json::Value;

/// Lifts what is under `properties` up, as `az` does; in lists, each of them.
pub(super) fn flatten(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.into_iter().map(flatten).collect()),
        Value::Object(mut fields) => {
            let Some(properties) = fields.shift_remove("properties") else {
                return Value::Object(fields);
            };
            if let Value::Object(properties) = properties {
                fields.extend(properties);
            }
            Value::Object(fields)
        }
        other => other,
    }
}

/// Puts the fields of one object into another.
pub(super) fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Returns a field's text by its path (`/properties/location`); a dash where there is none.
pub(super) fn text(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        Some(Value::String(text)) => text.chars().filter(|c| !c.is_control()).collect(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// Returns a part of an ARM id: the segment after `kind`, a dash where there is none.
pub(super) fn segment(id: &str, kind: &str) -> String {
    let mut segments = id.split('/').skip_while(|segment| !segment.eq_ignore_ascii_case(kind));
    segments.nth(1).unwrap_or("-").to_owned()
}

/// Returns the elements of a list by its path.
pub(super) fn list<'v>(value: &'v Value, path: &str) -> &'v [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Says how many of a device's secrets are in sync, for example `21/21 InSync`; where some are not,
/// which of them and how.
pub(super) fn synchronization(secrets: &[Value]) -> String {
    let status = |secret: &Value| text(secret, "/synchronizationStatus");
    let in_sync = secrets.iter().filter(|secret| status(secret) == "InSync").count();
    let other = secrets.iter().map(status).find(|status| status != "InSync");
    let worst = other.unwrap_or_else(|| "InSync".to_owned());
    format!("{in_sync}/{} {worst}", secrets.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn properties_are_lifted_up() {
        let given = json!([{"id": 1, "properties": {"a": 2}}, {"id": 3, "properties": null}]);
        assert_eq!(flatten(given), json!([{"id": 1, "a": 2}, {"id": 3}]));
    }

    #[test]
    fn ids_are_taken_apart_without_case() {
        let id = "/subscriptions/s/resourceGroups/lab/providers/p/networkFabrics/east";
        assert_eq!(segment(id, "resourcegroups"), "lab");
        assert_eq!(segment(id, "networkDevices"), "-");
    }

    #[test]
    fn a_device_is_in_sync_only_if_all_its_secrets_are() {
        let secret = |status: &str| json!({"synchronizationStatus": status});
        assert_eq!(synchronization(&[secret("InSync")]), "1/1 InSync");
        assert_eq!(synchronization(&[secret("InSync"), secret("OutOfSync")]), "1/2 OutOfSync");
    }

    #[test]
    fn what_a_table_shows_has_no_control_characters() {
        assert_eq!(text(&json!({"a": "x\u{1b}[2Jy"}), "/a"), "x[2Jy");
    }
}
