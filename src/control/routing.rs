//! Which trunk a dialled string goes to, and which user an inbound number belongs to.
//!
//! Routes are tried in the order of the configuration; the first that matches wins. A pattern
//! matches the whole string, and a template may use its groups: `$0` is all, `$1` the first.

use regex::Regex;

use super::ascii_classes::with_ascii_classes;
use super::error::Error;
use crate::call::{EndReason, Refusal};
use crate::guest::is_guest_name;

/// The longest dialled string or user name that is looked at.
const LONGEST_NUMBER: usize = 128;

/// A pattern that must match a whole number, and the number that it becomes.
#[derive(Clone, Debug)]
pub struct Rewrite {
    pattern: Regex,
    template: String,
}

impl Rewrite {
    /// Reads a pattern (the syntax of the `regex` crate, `\d`, `\w` and `\s` of ASCII only) and a
    /// template.
    pub fn new(pattern: &str, template: &str) -> Result<Self, Error> {
        let whole = with_ascii_classes(&format!("^(?:{pattern})$"));
        let pattern = Regex::new(&whole).map_err(|source| Error::Pattern {
            pattern: pattern.to_owned(),
            source,
        })?;
        let known = |name: &str| match name.parse::<usize>() {
            Ok(number) => number < pattern.captures_len(),
            Err(_) => pattern.capture_names().flatten().any(|one| one == name),
        };
        if let Some(name) = references(template).find(|name| !known(name)) {
            return Err(Error::Template {
                name: name.to_owned(),
                groups: pattern.captures_len() - 1,
            });
        }
        Ok(Rewrite {
            pattern,
            template: template.to_owned(),
        })
    }

    /// The rewritten number, if `number` matches.
    pub fn apply(&self, number: &str) -> Option<String> {
        let groups = self.pattern.captures(number)?;
        let mut rewritten = String::new();
        groups.expand(&self.template, &mut rewritten);
        Some(rewritten)
    }
}

/// The groups that a template refers to: `$1`, `${1}`, `$name`; `$$` is a dollar sign. As the
/// `regex` crate reads them: `$1a` is the group `1a`, which is nearly always a mistake.
fn references(template: &str) -> impl Iterator<Item = &str> {
    let mut rest = template;
    std::iter::from_fn(move || {
        loop {
            let at = rest.find('$')?;
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                rest = after;
                continue;
            }
            if let Some(braced) = rest.strip_prefix('{')
                && let Some((name, after)) = braced.split_once('}')
            {
                rest = after;
                return Some(name);
            }
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let name;
            (name, rest) = rest.split_at(end);
            if !name.is_empty() {
                return Some(name);
            }
        }
    })
}

/// From a browser to a trunk.
#[derive(Clone, Debug)]
pub struct OutboundRoute {
    /// What is dialled and what the trunk is asked for.
    pub number: Rewrite,
    /// Who may take this route.
    pub permits: Permits,
    /// Whether a caller who may not take it is passed on to the routes after it. Otherwise the
    /// route reserves the numbers that it matches.
    pub passes_on: bool,
    /// The trunk's name.
    pub trunk: String,
    /// Trunks that are asked, one after the other, where that one cannot.
    pub fallback: Vec<String>,
}

/// Who may take a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permits {
    /// The users by name; empty: all who have signed in with credentials.
    pub users: Vec<String>,
    /// Those who have signed in without.
    pub guests: bool,
}

impl Permits {
    /// A route for everybody, guests too.
    pub fn everybody() -> Self {
        Permits {
            users: Vec::new(),
            guests: true,
        }
    }

    fn permit(&self, user: &str) -> bool {
        if is_guest_name(user) {
            return self.guests;
        }
        self.users.is_empty() || self.users.iter().any(|name| name == user)
    }
}

/// Why a dialled string leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoute {
    /// No route matches it.
    NotFound,
    /// The one that does is not for this caller.
    Forbidden,
}

impl From<NoRoute> for Refusal {
    fn from(refusal: NoRoute) -> Self {
        match refusal {
            NoRoute::NotFound => Refusal::NotFound,
            NoRoute::Forbidden => Refusal::Forbidden,
        }
    }
}

impl From<NoRoute> for EndReason {
    fn from(refusal: NoRoute) -> Self {
        match refusal {
            NoRoute::NotFound => EndReason::NotFound,
            NoRoute::Forbidden => EndReason::Forbidden,
        }
    }
}

/// From a trunk to a browser's user.
#[derive(Clone, Debug)]
pub struct InboundRoute {
    /// The called number and the user that it belongs to.
    pub user: Rewrite,
    /// The trunk that the call must come from; none means any known trunk.
    pub trunk: Option<String>,
    /// Whether it leads to guests too.
    pub guests: bool,
}

/// Where an outgoing call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The trunk's name.
    pub trunk: String,
    /// The names of those that are asked where that one cannot.
    pub fallback: Vec<String>,
    /// The number that the trunks are asked for.
    pub number: String,
}

/// All routes.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// In order of preference.
    pub outbound: Vec<OutboundRoute>,
    /// In order of preference.
    pub inbound: Vec<InboundRoute>,
}

impl Routes {
    /// Where `user` gets to by dialling `dialled`.
    pub fn outbound(&self, user: &str, dialled: &str) -> Result<Destination, NoRoute> {
        let mut refusal = NoRoute::NotFound;
        let routes = self.outbound.iter().filter(|_| is_number(dialled));
        for route in routes {
            let Some(number) = route.number.apply(dialled) else {
                continue;
            };
            if route.permits.permit(user) {
                return Ok(Destination {
                    trunk: route.trunk.clone(),
                    fallback: route.fallback.clone(),
                    number,
                });
            }
            refusal = NoRoute::Forbidden;
            if !route.passes_on {
                break;
            }
        }
        Err(refusal)
    }

    /// The user that `number`, called through `trunk`, belongs to.
    pub fn inbound(&self, trunk: &str, number: &str) -> Option<String> {
        if !is_number(number) {
            return None;
        }
        self.inbound
            .iter()
            .filter(|route| route.trunk.as_deref().is_none_or(|name| name == trunk))
            .filter_map(|route| Some((route, route.user.apply(number)?)))
            .find(|(route, user)| route.guests || !is_guest_name(user))
            .map(|(_, user)| user)
    }
}

/// What may stand in the user part of a SIP URI and be meant by a person: no spaces, no
/// controls, not empty, not endless.
fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_NUMBER
        && text.chars().all(|c| !c.is_control() && !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(pattern: &str, template: &str, trunk: &str, users: &[&str]) -> OutboundRoute {
        OutboundRoute {
            number: Rewrite::new(pattern, template).expect("a valid pattern"),
            permits: Permits {
                users: users.iter().map(|name| (*name).to_owned()).collect(),
                guests: false,
            },
            passes_on: false,
            trunk: trunk.to_owned(),
            fallback: vec![],
        }
    }

    fn routes() -> Routes {
        let world = route(r"\+49(\d+)", "0049$1", "world", &["alice"]);
        Routes {
            outbound: vec![
                OutboundRoute {
                    fallback: vec!["office".to_owned()],
                    ..world
                },
                route(r"6\d\d|\+.*", "$0", "office", &[]),
            ],
            inbound: vec![InboundRoute {
                user: Rewrite::new("web-(.*)", "$1").expect("a valid pattern"),
                trunk: Some("office".to_owned()),
                guests: false,
            }],
        }
    }

    #[test]
    fn route_first_match_of_the_whole_number_wins() {
        let routes = routes();
        let office = routes.outbound("bob", "600").expect("a route");
        assert_eq!(
            (office.trunk.as_str(), office.number.as_str()),
            ("office", "600")
        );
        let none = routes.outbound("bob", "6000");
        assert_eq!(none, Err(NoRoute::NotFound));
        let world = routes.outbound("alice", "+49301234").expect("alice may");
        assert_eq!(world.number, "004930".to_owned() + "1234");
        assert_eq!(world.fallback, ["office"]);
    }

    #[test]
    fn route_for_listed_users_is_reserved_unless_it_passes_on() {
        let mut routes = routes();
        let bob = |routes: &Routes| routes.outbound("bob", "+49301234");
        assert_eq!(bob(&routes), Err(NoRoute::Forbidden));
        routes.outbound[0].passes_on = true;
        assert_eq!(bob(&routes).expect("the next").trunk, "office");
        routes.outbound.truncate(1);
        assert_eq!(bob(&routes), Err(NoRoute::Forbidden), "no other is left");
        let case = routes.outbound("Alice", "+49301234");
        assert_eq!(case, Err(NoRoute::Forbidden), "names are exact");
    }

    #[test]
    fn route_takes_guests_only_where_it_says_so() {
        let mut routes = routes();
        let to = |routes: &Routes, number| routes.outbound("guest-1", number);
        assert_eq!(to(&routes, "600"), Err(NoRoute::Forbidden));
        assert_eq!(to(&routes, "+49301234"), Err(NoRoute::Forbidden));
        assert_eq!(to(&routes, "7"), Err(NoRoute::NotFound));
        routes.outbound[1].permits.guests = true;
        assert_eq!(to(&routes, "600").expect("open").trunk, "office");
        assert_eq!(to(&routes, "+49301234"), Err(NoRoute::Forbidden));
        routes.outbound[0].permits.users.push("GUEST-1".to_owned());
        let listed = routes.outbound("GUEST-1", "+49301234");
        assert_eq!(listed, Err(NoRoute::Forbidden), "a list is for users");
    }

    #[test]
    fn template_with_an_unknown_group_is_refused() {
        for (pattern, template) in [
            (r"0(\d+)", "$2"),
            (r"0(\d+)", "$1x"),
            (r"\d+", "+49$1"),
            (r"(?<area>\d)", "${zone}"),
            ("a", "${}"),
        ] {
            let error = Rewrite::new(pattern, template).expect_err(template);
            assert!(matches!(error, Error::Template { .. }), "{error}");
        }
        for (pattern, template, number, rewritten) in [
            (r"0(\d+)", "${1}x", "05", "5x"),
            (r"(?<area>\d)", "$area-$1", "3", "3-3"),
            ("a", "$$1", "a", "$1"),
            ("a", "b$", "a", "b$"),
        ] {
            let rewrite = Rewrite::new(pattern, template).expect(template);
            assert_eq!(rewrite.apply(number).as_deref(), Some(rewritten));
        }
    }

    #[test]
    fn inbound_number_finds_its_user_through_its_trunk_only() {
        let routes = routes();
        assert_eq!(
            routes.inbound("office", "web-alice").as_deref(),
            Some("alice")
        );
        assert_eq!(routes.inbound("world", "web-alice"), None);
    }

    #[test]
    fn inbound_number_leads_to_guests_only_where_it_may() {
        let mut routes = routes();
        for number in ["web-guest-1", "web-GUEST-1"] {
            assert_eq!(routes.inbound("office", number), None, "{number}");
        }
        routes.inbound[0].guests = true;
        let reached = routes.inbound("office", "web-guest-1");
        assert_eq!(reached.as_deref(), Some("guest-1"));
    }

    #[test]
    fn digits_of_other_scripts_match_no_digit_class() {
        let all = Routes {
            outbound: vec![
                route(r"\d+", "$0", "any", &[]),
                route("büro", "1", "any", &[]),
            ],
            inbound: vec![],
        };
        for number in ["\u{661}\u{662}", "\u{ff11}", "1\u{967}", "\u{1d7d8}"] {
            let none = all.outbound("bob", number);
            assert_eq!(none, Err(NoRoute::NotFound), "{number:?}");
        }
        for number in ["12", "büro"] {
            assert!(all.outbound("bob", number).is_ok(), "{number}");
        }
    }

    #[test]
    fn hostile_numbers_match_nothing() {
        let all = Routes {
            outbound: vec![route("(?s).*", "$0", "any", &[])],
            inbound: vec![],
        };
        for number in ["", "1\r\nEvil: header", "a b", &"9".repeat(129)] {
            let none = all.outbound("bob", number);
            assert_eq!(none, Err(NoRoute::NotFound), "{number:?}");
        }
    }
}
