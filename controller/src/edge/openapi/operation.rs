//! One entry of the description, and what it becomes in OpenAPI.

use serde_json::{Map, Value, json};

use crate::access::{Right, Role};

/// How a request can be wrong that only looks; the names are those of the components.
const ERRORS_LOOKING: &[(&str, &str)] = &[
    ("400", "Wrong"),
    ("401", "Unknown"),
    ("403", "Forbidden"),
    ("404", "NotFound"),
    ("429", "TooMany"),
];

/// How one can be wrong besides that changes something or has a body.
const ERRORS_CHANGING: &[(&str, &str)] = &[
    ("408", "TooSlow"),
    ("409", "Refused"),
    ("413", "TooLarge"),
    ("502", "Fault"),
    ("503", "Unavailable"),
];

/// What can be done to one path.
#[derive(Debug)]
pub(super) struct Operation {
    /// The path; what varies in it stands in braces and is the name of a parameter component.
    pub(super) path: String,
    /// The method, in small letters.
    pub(super) method: &'static str,
    id: String,
    summary: &'static str,
    right: Option<Right>,
    query: &'static [&'static str],
    body: Option<(&'static str, bool)>,
    answers: Vec<(&'static str, Value)>,
}

/// An operation that only looks.
pub(super) fn get(path: &str, id: &str, summary: &'static str) -> Operation {
    Operation::new("get", path, id, summary, Right::Read)
}

/// An operation of another method, and the right that it wants.
pub(super) fn operation(
    method: &'static str,
    path: &str,
    id: &str,
    right: Right,
    summary: &'static str,
) -> Operation {
    Operation::new(method, path, id, summary, right)
}

impl Operation {
    fn new(
        method: &'static str,
        path: &str,
        id: &str,
        summary: &'static str,
        right: Right,
    ) -> Self {
        let (path, id, right) = (path.to_owned(), id.to_owned(), Some(right));
        let answers = Vec::new();
        Self { path, method, id, summary, right, query: &[], body: None, answers }
    }

    /// Names its parameters in the query.
    pub(super) fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// Names the schema of the body that it must have.
    pub(super) fn takes(self, schema: &'static str) -> Self {
        Self { body: Some((schema, true)), ..self }
    }

    /// Names the schema of the body that it may have.
    pub(super) fn may_take(self, schema: &'static str) -> Self {
        Self { body: Some((schema, false)), ..self }
    }

    /// Wants another right than is usual for its method.
    pub(super) fn wants(self, right: Right) -> Self {
        Self { right: Some(right), ..self }
    }

    /// Is open to whoever asks.
    pub(super) fn open(self) -> Self {
        Self { right: None, ..self }
    }

    /// Is answered 200, with a body of this schema.
    pub(super) fn gives(self, schema: &'static str) -> Self {
        self.answers("200", "Done.", Some(schema))
    }

    /// Is answered 200, with a body that is no JSON.
    pub(super) fn gives_bytes(self, description: &'static str) -> Self {
        let bytes = json!({"schema": {"type": "string", "format": "binary"}});
        self.gives_other(description, &json!({"application/octet-stream": bytes}))
    }

    /// Is answered 200, with lines of text.
    pub(super) fn gives_text(self, description: &'static str) -> Self {
        let text = json!({"schema": {"type": "string"}});
        self.gives_other(description, &json!({"text/plain": text}))
    }

    fn gives_other(mut self, description: &'static str, content: &Value) -> Self {
        let answer = json!({"description": description, "headers": headers(), "content": content});
        self.answers.push(("200", answer));
        self
    }

    /// Is answered so, with a body of this schema or with none.
    pub(super) fn answers(
        mut self,
        status: &'static str,
        description: &'static str,
        schema: Option<&'static str>,
    ) -> Self {
        let mut answer = Map::new();
        answer.insert("description".to_owned(), json!(description));
        answer.insert("headers".to_owned(), headers());
        if let Some(schema) = schema {
            answer.insert("content".to_owned(), content(schema));
        }
        let answer = Value::Object(answer);
        self.answers.push((status, answer));
        self
    }

    /// Is answered 202, with the address of an operation that goes on.
    pub(super) fn starts(mut self) -> Self {
        self.answers.push(("202", component("responses", "Accepted")));
        self
    }

    /// Is answered 202 while the operation goes on that it asks after.
    pub(super) fn goes_on(mut self) -> Self {
        self.answers.push(("202", component("responses", "Running")));
        self
    }

    /// Returns it as OpenAPI has it.
    pub(super) fn describe(self) -> Value {
        let mut described = Map::new();
        let mut say = |name: &str, value: Value| described.insert(name.to_owned(), value);
        say("operationId", json!(self.id));
        say("summary", json!(self.summary));
        match self.right {
            Some(right) => {
                let roles = Role::ALL.into_iter().filter(|role| role.grants(right));
                let roles: Vec<&str> = roles.map(Role::as_str).collect();
                let description = format!("Open to the roles {}.", roles.join(", "));
                say("description", json!(description));
                say("x-keyturn-roles", json!(roles));
            }
            None => {
                say("security", json!([]));
            }
        }
        say("parameters", self.parameters());
        if let Some((schema, required)) = self.body {
            let body = json!({"required": required, "content": content(schema)});
            say("requestBody", body);
        }
        say("responses", self.responses());
        Value::Object(described)
    }

    fn parameters(&self) -> Value {
        let in_path = self.path.split(['{', '}']).skip(1).step_by(2);
        let names = in_path.chain(self.query.iter().copied());
        names.map(|name| component("parameters", name)).collect()
    }

    fn responses(self) -> Value {
        let errors: &[&[(&str, &str)]] = match (self.right, self.method) {
            (None, _) => &[&[("400", "Wrong")]],
            (_, "get") => &[ERRORS_LOOKING],
            _ => &[ERRORS_LOOKING, ERRORS_CHANGING],
        };
        let errors = errors.iter().copied().flatten();
        let errors = errors.map(|(status, name)| (*status, component("responses", name)));
        let all = self.answers.into_iter().chain(errors);
        Value::Object(all.map(|(status, answer)| (status.to_owned(), answer)).collect())
    }
}

fn content(schema: &str) -> Value {
    json!({"application/json": {"schema": component("schemas", schema)}})
}

fn component(kind: &str, name: &str) -> Value {
    json!({"$ref": format!("#/components/{kind}/{name}")})
}

/// The headers of every answer.
fn headers() -> Value {
    json!({
        "x-ms-request-id": component("headers", "RequestId"),
        "x-ms-correlation-request-id": component("headers", "RequestId"),
    })
}
