//! Registrations by themselves, in virtual time.
#![expect(clippy::disallowed_methods, reason = "virtual time needs a start")]

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::{Name, Request, Response};
use crate::sip::stack::target::Target;
use crate::sip::stack::transport_protocol::Transport;
use crate::sip::trunk::config::{Account, Config, Registered, Registration, Trunk};
use crate::sip::trunk::event::RegistrationState;
use crate::sip::trunk::network_headers::NetworkHeaders;

const SECOND: Duration = Duration::from_secs(1);
const REGISTRAR: &str = "192.0.2.10:5060";

struct Setup {
    registrations: Registrations,
    trunk: Trunk,
    now: Instant,
}

impl Setup {
    /// One trunk with these accounts, `present` or always registered, and no registration of its
    /// own.
    fn new(accounts: &[&str], registered: Registered) -> Self {
        let target = Target::at(REGISTRAR.parse().expect("an address"), Transport::Udp);
        let mut trunk = Trunk::new("pbx", target);
        trunk.accounts = accounts
            .iter()
            .map(|user| Account {
                user: (*user).to_owned(),
                registration: Registration {
                    user: format!("line-{user}"),
                    expires: 3_600,
                    outbound: true,
                },
                credentials: None,
                registered,
            })
            .collect();
        let config = Config {
            trunks: vec![trunk.clone()],
            ..Config::default()
        };
        let mut random = StdRng::seed_from_u64(1);
        Setup {
            registrations: Registrations::new(&config, &mut random),
            trunk,
            now: Instant::now(),
        }
    }

    fn started(accounts: &[&str]) -> Self {
        let mut setup = Setup::new(accounts, Registered::Always);
        setup.registrations.start();
        setup
    }

    fn take(&mut self) -> Vec<RegistrationAction> {
        std::iter::from_fn(|| self.registrations.poll_action()).collect()
    }

    /// The REGISTERs that are wanted, by registration and Expires.
    fn sends(&mut self) -> Vec<(usize, u32)> {
        let sends = self.take().into_iter().filter_map(|action| match action {
            RegistrationAction::Send { id, expires } => Some((id.0, expires)),
            RegistrationAction::Tell { .. } => None,
        });
        sends.collect()
    }

    fn request(&mut self, id: usize, expires: u32) -> Request {
        let network = NetworkHeaders::default();
        let request =
            self.registrations
                .request(RegistrationId(id), expires, &self.trunk, &network);
        request.expect("a registration").0
    }

    fn respond(&mut self, id: usize, status: u16, headers: &[(&'static str, &str)]) -> Response {
        let request = self.request(id, 3_600);
        let mut response = request.respond(status, None, Some("r"));
        for (name, value) in headers {
            response
                .headers
                .insert(Name::from(*name), (*value).to_owned());
        }
        let (id, now) = (RegistrationId(id), self.now);
        self.registrations.handle_response(id, &response, 0.0, now);
        response
    }

    fn is_quiet_after(&mut self, time: Duration) -> bool {
        self.now += time;
        self.registrations.handle_timeout(self.now);
        self.sends().is_empty()
    }
}

fn flow() -> Flow {
    let remote = REGISTRAR.parse().expect("an address");
    Flow::new(Transport::Udp, 0, remote)
}

#[test]
fn start_sends_and_tells_each_registration() {
    let mut setup = Setup::started(&["alice"]);
    let id = RegistrationId(0);
    let told = RegistrationAction::Tell {
        id,
        before: RegistrationState::Unregistered,
        state: RegistrationState::Registering,
    };
    let send = RegistrationAction::Send { id, expires: 3_600 };
    assert_eq!(setup.take(), [told, send]);
    assert!(!setup.registrations.is_quiet());
}

#[test]
fn fifty_registers_are_under_way_at_one_trunk() {
    let users: Vec<String> = (0..120).map(|number| format!("u{number}")).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    let mut setup = Setup::started(&users);
    assert_eq!(setup.sends().len(), 50);
    setup.respond(0, 200, &[("Expires", "3600")]);
    assert_eq!(setup.sends(), [(50, 3_600)], "one answered, one more");
    let failed = RegistrationId(1);
    let now = setup.now;
    setup.registrations.handle_failure(failed, 503, 0.0, now);
    assert_eq!(setup.sends(), [(51, 3_600)]);
    // The answer to one whose REGISTER is not under way lets no other go.
    setup.registrations.handle_failure(failed, 503, 0.0, now);
    assert_eq!(setup.sends(), []);
}

#[test]
fn actions_are_carried_out_once_at_a_time() {
    let mut setup = Setup::started(&["alice"]);
    assert!(setup.registrations.begin_actions());
    assert!(!setup.registrations.begin_actions());
    setup.registrations.end_actions();
    assert!(setup.registrations.begin_actions());
}

#[test]
fn account_of_a_present_user_leaves_after_thirty_seconds() {
    let mut setup = Setup::new(&["alice"], Registered::Present);
    setup.registrations.start();
    assert_eq!(setup.sends(), []);
    setup.registrations.set_presence("alice", true, setup.now);
    assert_eq!(setup.sends(), [(0, 3_600)]);
    setup.respond(0, 200, &[("Expires", "3600")]);
    setup.registrations.set_presence("alice", false, setup.now);
    assert!(setup.is_quiet_after(29 * SECOND));
    setup.now += SECOND;
    setup.registrations.handle_timeout(setup.now);
    assert_eq!(setup.sends(), [(0, 0)]);
}

#[test]
fn edge_without_outbound_is_asked_again_without_instance() {
    let mut setup = Setup::started(&["alice"]);
    setup.sends();
    let first = setup.request(0, 3_600);
    assert!(String::from_utf8_lossy(&first.write()).contains("path, outbound"));
    setup.respond(0, 439, &[]);
    assert_eq!(setup.sends(), [(0, 3_600)], "at once");
    let second = setup.request(0, 3_600);
    assert!(!String::from_utf8_lossy(&second.write()).contains("outbound"));
}

#[test]
fn failed_outbound_flow_is_registered_again_at_once() {
    let mut setup = Setup::started(&["alice"]);
    setup.sends();
    let request = setup.request(0, 3_600);
    let mut response = request.respond(200, None, Some("r"));
    response.headers.insert(Name::REQUIRE, "outbound");
    let id = RegistrationId(0);
    let seconds = setup
        .registrations
        .accept_flow(id, flow(), &request, &response);
    assert_eq!(seconds, 3_600);
    let (udp, remote) = (Transport::Udp, flow().remote);
    assert!(!setup.registrations.is_outbound_flow(udp, remote));
    setup.respond(0, 200, &[("Expires", "3600")]);
    assert!(setup.registrations.is_outbound_flow(udp, remote));
    assert!(setup.registrations.is_registered_by(flow().key()));
    setup.registrations.handle_flow_failure(udp, remote);
    assert_eq!(setup.sends(), [(0, 3_600)]);
    assert!(!setup.registrations.is_outbound_flow(udp, remote));
    setup.registrations.handle_flow_failure(udp, remote);
    assert_eq!(setup.sends(), [], "one REGISTER at a time");
}

#[test]
fn success_grants_routes_and_identities_of_the_registrar() {
    let mut setup = Setup::started(&["alice"]);
    setup.sends();
    setup.respond(
        0,
        200,
        &[
            ("Service-Route", "<sip:edge;lr>, <not a route>"),
            ("P-Associated-URI", "<sip:+15550100@pbx>, <tel:+15550100>"),
        ],
    );
    let entry = setup.registrations.of_caller(0, Some("alice"));
    let granted = &entry.expect("an account").granted;
    assert_eq!(granted.service_route, ["sip:edge;lr"]);
    let associated = ["sip:+15550100@pbx", "tel:+15550100"];
    assert_eq!(granted.associated, associated);
}

#[test]
fn contact_with_the_token_leads_to_its_registration() {
    let setup = Setup::new(&["alice", "bob"], Registered::Always);
    let bob = setup.registrations.of_caller(0, Some("bob"));
    let bob = bob.expect("an account");
    let line = bob.contact_user.line.as_deref().expect("a token");
    let uri = format!("sip:line-bob@192.0.2.1;line={line}");
    let found = setup.registrations.of_contact(&uri);
    assert_eq!(found.and_then(|e| e.account.as_deref()), Some("bob"));
    // A registrar that drops the token is known by its trunk alone.
    let plain = "sip:line-bob@192.0.2.1";
    assert!(setup.registrations.of_contact(plain).is_none());
    let called = setup.registrations.called(plain, Some(0));
    assert_eq!(called.and_then(|e| e.account.as_deref()), Some("bob"));
    assert!(setup.registrations.called(plain, None).is_none());
}

#[test]
fn stop_takes_back_what_holds_and_ends_quiet() {
    let mut setup = Setup::started(&["alice"]);
    setup.sends();
    setup.respond(0, 200, &[("Expires", "3600")]);
    setup.registrations.stop();
    assert_eq!(setup.sends(), [(0, 0)]);
    assert!(!setup.registrations.is_quiet());
    setup.respond(0, 200, &[]);
    assert!(setup.registrations.is_quiet());
    assert_eq!(setup.registrations.poll_timeout(), None);
}
