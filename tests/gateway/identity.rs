//! Who calls: what the PBX learns of a page, and a page of a caller; headers passed both ways.

use serde_json::{Value, json};
use trunkline::settings::{CallerHeader, Renumbering};

use crate::browser::Browser;
use crate::pbx::Telephone;
use crate::setup::Setup;
use crate::sound::Coding;

/// Calls 600 with these fields in `call`.
async fn call_with(setup: &Setup, fields: Value) -> (crate::page::Page, Browser) {
    let mut page = setup.page("102").await;
    let mut browser = Browser::new(Coding::Opus).await;
    let mut call = json!({
        "type": "call", "call": "c1", "to": "600", "sdp": browser.offer().await, "name": "Zoë \"Z\"",
    });
    for (name, value) in fields.as_object().expect("fields") {
        call[name] = value.clone();
    }
    page.say(call).await;
    (page, browser)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_is_told_the_rewritten_number_in_the_header_it_wants() {
    let mut setup = Setup::with(|settings| {
        settings.trunk[0].callers.identity = CallerHeader::Pai;
        settings.trunk[0].callers.caller_id = vec![Renumbering {
            pattern: r"1(\d\d)".to_owned(),
            to: "+493012341$1".to_owned(),
        }];
    })
    .await;
    let (_page, _browser) = call_with(&setup, json!({})).await;
    let leg = setup.pbx.called().await;
    assert_eq!(leg.caller, "+49301234102");
    assert_eq!(leg.caller_name.as_deref(), Some("Zoë \"Z\""));
    let asserted = leg.header("P-Asserted-Identity");
    assert!(
        asserted.starts_with("\"Zoë \\\"Z\\\"\" <sip:+49301234102@"),
        "{asserted}"
    );
    assert_eq!(leg.header("Privacy"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_anonymous_caller_is_named_to_a_trusted_trunk_only() {
    for trusted in [false, true] {
        let mut setup = Setup::with(|settings| {
            settings.trunk[0].callers.identity = CallerHeader::Pai;
            settings.trunk[0].callers.trusted = trusted;
        })
        .await;
        let (_page, _browser) = call_with(&setup, json!({"anonymous": true})).await;
        let leg = setup.pbx.called().await;
        let from = leg.header("From");
        let expected = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=";
        assert!(from.starts_with(expected), "{from}");
        assert_eq!(leg.header("Privacy"), "id");
        let asserted = leg.header("P-Asserted-Identity");
        assert_eq!(asserted.contains("102"), trusted, "{asserted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_may_set_the_headers_of_the_list_and_no_others() {
    let mut setup = Setup::with(|settings| {
        settings.trunk[0].callers.headers_from_client = vec!["X-Account".to_owned()];
    })
    .await;
    for (headers, code) in [
        (json!({"X-Other": "1"}), "header-not-allowed"),
        (
            json!({"P-Asserted-Identity": "<sip:1@a>"}),
            "header-not-allowed",
        ),
        (json!({"X-Account": "1\r\nX-Other: 2"}), "bad-header"),
        (json!({"X-Account": "1".repeat(2_000)}), "bad-header"),
    ] {
        let (mut page, _browser) = call_with(&setup, json!({ "headers": headers })).await;
        page.hear_error(code).await;
    }
    assert_eq!(setup.open_calls().await, 0);
    let headers = json!({"x-account": "ACME 7"});
    let (_page, _browser) = call_with(&setup, json!({ "headers": headers })).await;
    let leg = setup.pbx.called().await;
    assert_eq!(leg.header("X-Account"), "ACME 7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_learns_who_calls_by_the_trust_in_the_trunk() {
    let asserted = ("P-Asserted-Identity", "\"Board\" <tel:+49-30-123>");
    let diverted = ("Diversion", "<sip:200@pbx.example>;reason=no-answer");
    let account = ("X-Account", "ACME");
    let private = ("Privacy", "id");
    for (trusted, headers, from) in [
        (
            false,
            vec![asserted, diverted, account],
            json!({"number": "4930123", "name": "Ada"}),
        ),
        (
            true,
            vec![asserted, diverted, account],
            json!({"number": "+4930123", "name": "Board"}),
        ),
        (
            true,
            vec![asserted, diverted, account, private],
            json!({"number": "anonymous"}),
        ),
    ] {
        let setup = Setup::with(|settings| {
            settings.trunk[0].callers.trusted = trusted;
            settings.trunk[0].callers.headers_to_client = vec!["X-Account".to_owned()];
        })
        .await;
        let mut page = setup.page("alice").await;
        let mut telephone = Telephone::new(Coding::Pcmu).await;
        let offer = telephone.describe("sendrecv");
        let _leg = setup.pbx.call_with("alice", offer, &headers).await;
        let incoming = page.hear("incoming").await;
        assert_eq!(incoming["from"], from);
        assert_eq!(
            incoming["diverted"],
            json!({"from": "200", "reason": "no-answer"})
        );
        assert_eq!(incoming["headers"], json!({"X-Account": "ACME"}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trusted_trunk_is_told_of_networks_and_the_page_is_not() {
    let mut setup = Setup::with(|settings| {
        let trunk = &mut settings.trunk[0];
        trunk.callers.trusted = true;
        trunk.callers.access_network_info = "pass".to_owned();
        trunk.callers.charging_vector = "orig-ioi=home1.net".to_owned();
        trunk.callers.called_party_id = true;
    })
    .await;
    let visited = json!({"headers": {"P-Visited-Network-ID": "mine"}});
    let (mut page, _browser) = call_with(&setup, visited).await;
    page.hear_error("header-not-allowed").await;
    let access = json!({"headers": {"p-access-network-info": "IEEE-802.3"}});
    let (_page, _browser) = call_with(&setup, access).await;
    let leg = setup.pbx.called().await;
    assert_eq!(leg.header("P-Access-Network-Info"), "IEEE-802.3");
    assert_eq!(leg.header("P-Visited-Network-ID"), "");
    let vector = leg.header("P-Charging-Vector");
    let icid = vector
        .strip_prefix("icid-value=")
        .and_then(|rest| rest.strip_suffix(";orig-ioi=home1.net"));
    assert_eq!(icid.map(str::len), Some(32), "{vector}");

    let mut page = setup.page("bob").await;
    let mut telephone = Telephone::new(Coding::Pcmu).await;
    let headers = [
        ("P-Called-Party-ID", "<sip:bob@ims.example>"),
        ("P-Charging-Vector", "icid-value=17;orig-ioi=other.net"),
        (
            "P-Access-Network-Info",
            "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=1",
        ),
    ];
    let offer = telephone.describe("sendrecv");
    let _leg = setup.pbx.call_with("line-7", offer, &headers).await;
    let incoming = page.hear("incoming").await;
    assert_eq!(incoming["to"], "bob");
    let told = incoming.to_string();
    for secret in ["icid", "other.net", "3GPP", "P-Charging", "P-Access"] {
        assert!(!told.contains(secret), "{told}");
    }
}
