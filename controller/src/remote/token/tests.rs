use super::*;

const MARGINS: Margins =
    Margins { renewed: Duration::from_secs(300), unused: Duration::from_secs(30) };

#[derive(Debug, thiserror::Error)]
#[error("get a token")]
struct Refused;

fn token(life: u64) -> Result<Token, Refused> {
    Token::new("Bearer ", "test", Duration::from_secs(life), MARGINS).ok_or(Refused)
}

fn at(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn a_token_is_used_until_shortly_before_its_end_and_renewed_earlier() {
    let keeper = Keeper::default();
    let now = Instant::now();
    assert!(keeper.look(now).0.is_none());
    keeper.learn(token(3_600)).unwrap();
    let cases = [(0, true, false), (3_299, true, false), (3_300, true, true), (3_569, true, true)];
    for (seconds, usable, due) in cases {
        let (token, _asked, may_renew) = keeper.look(at(now, seconds));
        assert_eq!((token.is_some(), may_renew), (usable, due), "{seconds}");
    }
    assert!(keeper.look(at(now, 3_570)).0.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_stays_and_is_not_asked_for_all_the_time() {
    let keeper = Keeper::default();
    let now = Instant::now();
    keeper.learn(token(600)).unwrap();
    tokio::time::advance(Duration::from_secs(400)).await;
    keeper.learn(Err(Refused)).unwrap_err();
    let look = |seconds| {
        let (token, _asked, may_renew) = keeper.look(at(now, seconds));
        (token.is_some(), may_renew)
    };
    assert_eq!(look(400), (true, false));
    assert_eq!(look(430), (true, true));
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_short_life_is_used_for_half_of_it_before_it_is_renewed() {
    let keeper = Keeper::default();
    let now = Instant::now();
    keeper.learn(token(200)).unwrap();
    assert!(!keeper.look(at(now, 99)).2);
    assert!(keeper.look(at(now, 100)).2);
}

#[test]
fn a_token_is_in_no_debug_output() {
    let token = Token::new("Bearer ", "Canary-4711", Duration::ZERO, MARGINS).unwrap();
    assert!(!format!("{token:?} {:?}", token.header()).contains("Canary"));
    for text in ["two words", ""] {
        assert!(Token::new("", text, Duration::ZERO, MARGINS).is_none());
    }
}
