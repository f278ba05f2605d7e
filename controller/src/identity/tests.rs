use super::*;

fn token(life: Duration) -> Token {
    let now = Instant::now();
    let renewed_from = now + life.saturating_sub(RENEWED_BEFORE.min(life / 2));
    Token::for_tests(renewed_from, now + life)
}

fn refused() -> IdentityError {
    IdentityError::Refused {
        place: "login.example".to_owned(),
        status: 401,
        code: "invalid_client".to_owned(),
        message: "AADSTS7000215: Invalid client secret provided.".to_owned(),
    }
}

fn at(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_used_until_shortly_before_its_end_and_renewed_earlier() {
    let slot = Slot::default();
    let now = Instant::now();
    assert!(slot.look(now).0.is_none());
    slot.learn(Ok(token(Duration::from_secs(3_600)))).unwrap();
    let cases = [(0, true, false), (3_299, true, false), (3_300, true, true), (3_569, true, true)];
    for (seconds, usable, due) in cases {
        let (token, _asked, may_renew) = slot.look(at(now, seconds));
        assert_eq!((token.is_some(), may_renew), (usable, due), "{seconds}");
    }
    assert!(slot.look(at(now, 3_570)).0.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_stays_and_is_not_asked_for_all_the_time() {
    let slot = Slot::default();
    let now = Instant::now();
    slot.learn(Ok(token(Duration::from_secs(600)))).unwrap();
    tokio::time::advance(Duration::from_secs(400)).await;
    slot.learn(Err(refused())).unwrap_err();
    let look = |seconds| {
        let (token, _asked, may_renew) = slot.look(at(now, seconds));
        (token.is_some(), may_renew)
    };
    assert_eq!(look(400), (true, false));
    assert_eq!(look(430), (true, true));
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_short_life_is_used_for_half_of_it_before_it_is_renewed() {
    let slot = Slot::default();
    let now = Instant::now();
    slot.learn(Ok(token(Duration::from_secs(200)))).unwrap();
    assert!(!slot.look(at(now, 99)).2);
    assert!(slot.look(at(now, 100)).2);
}

#[test]
fn refusals_that_people_meet_say_what_mends_them() {
    assert!(refused().hint().unwrap().contains("`clientsecret`"));
    assert_eq!(refused().fault(), crate::error::Fault::Operator);
}
