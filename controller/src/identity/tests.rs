use super::*;

#[test]
fn refusals_that_people_meet_say_what_mends_them() {
    let refused = IdentityError::Refused {
        place: "login.example".to_owned(),
        status: 401,
        code: "invalid_client".to_owned(),
        message: "AADSTS7000215: Invalid client secret provided.".to_owned(),
    };
    assert!(refused.hint().unwrap().contains("`clientsecret`"));
    assert_eq!(refused.fault(), crate::error::Fault::Operator);
}
