//! Calls that nobody answers: refused, cancelled, too long, to nowhere.

use trunkline::sip;

use crate::browser::Browser;
use crate::page::Page;
use crate::setup::Setup;
use crate::sound::Coding;

async fn dial(page: &mut Page, call: &str, to: &str) -> Browser {
    let mut browser = Browser::new(Coding::Opus).await;
    page.call(call, to, &browser.offer().await).await;
    browser
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_of_the_pbx_has_its_reason() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let offer = browser.offer().await;
    let declined = [("direction", "outgoing"), ("reason", "declined")];
    let before = setup.counter("trunkline_calls_total", &declined).await;
    for (status, reason) in [
        (486, "busy"),
        (600, "busy"),
        (603, "declined"),
        (404, "not-found"),
        (484, "not-found"),
        (403, "forbidden"),
        (480, "no-answer"),
        (488, "no-common-codec"),
        (503, "trunk-unreachable"),
        (500, "trunk-refused"),
        (499, "trunk-refused"),
    ] {
        let call = format!("c{status}");
        page.call(&call, "600", &offer).await;
        let leg = setup.pbx.called().await;
        page.hear("answer").await;
        leg.refuse(status).await;
        let ended = page.hear_end(reason).await;
        assert_eq!(ended["call"], *call);
        assert_eq!(ended["status"], status, "{ended}");
    }
    setup
        .counted("trunkline_calls_total", &declined, before, 1.0)
        .await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_cancels_while_it_rings() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let _browser = dial(&mut page, "c1", "600").await;
    let mut leg = setup.pbx.called().await;
    page.hear("answer").await;
    leg.ring().await;
    page.hear("ringing").await;
    page.hang_up("c1").await;
    page.hear_end("cancelled").await;
    assert_eq!(leg.over().await, sip::Event::Cancelled);
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_answers_in_time() {
    let mut setup = Setup::with(|settings| settings.calls.ring_timeout = 1).await;
    let mut page = setup.page("alice").await;
    let _browser = dial(&mut page, "c1", "600").await;
    let mut leg = setup.pbx.called().await;
    page.hear("answer").await;
    leg.ring().await;
    page.hear("ringing").await;
    let ended = page.hear_end("no-answer").await;
    assert!(ended.get("status").is_none(), "{ended}");
    assert_eq!(leg.over().await, sip::Event::Cancelled);
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_without_a_route_reaches_nobody() {
    let mut setup = Setup::with(|settings| {
        settings.route[0].users = vec!["bob".to_owned()];
    })
    .await;
    let mut page = setup.page("alice").await;
    // No route at all, and one that is reserved for bob.
    for (call, to, reason) in [
        ("c1", "nowhere", "not-found"),
        ("c2", "600", "forbidden"),
        ("c3", "6 00\r\nX: y", "not-found"),
    ] {
        let _browser = dial(&mut page, call, to).await;
        let ended = page.hear_end(reason).await;
        assert_eq!(ended["call"], call);
    }
    setup
        .pbx
        .hears_of_nothing(std::time::Duration::from_millis(200))
        .await;
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_is_not_there_is_unreachable() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = closed.local_addr().expect("its address");
    drop(closed);
    let setup = Setup::with(|settings| {
        settings.trunk[0].addressing.target = format!("sip:{address};transport=tcp");
    })
    .await;
    let mut page = setup.page("alice").await;
    let _browser = dial(&mut page, "c1", "600").await;
    page.hear("answer").await;
    let ended = page.hear_end("trunk-unreachable").await;
    assert!(ended.get("status").is_none(), "no peer said so: {ended}");
    setup.has_calls(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pbx_that_answers_nonsense_is_hung_up_on() {
    let mut setup = Setup::start().await;
    let mut page = setup.page("alice").await;
    let _browser = dial(&mut page, "c1", "600").await;
    let mut leg = setup.pbx.called().await;
    page.hear("answer").await;
    leg.answer("v=0\r\nthis is no description\r\n".to_owned())
        .await;
    page.hear_error("bad-pbx-description").await;
    page.hear_end("bad-pbx-description").await;
    let over = leg.over().await;
    assert!(matches!(over, sip::Event::Ended { .. }), "{over:?}");
    setup.has_calls(0).await;
}
