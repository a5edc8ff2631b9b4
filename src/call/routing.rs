//! Which trunk a dialled string goes to, and which user an inbound number belongs to.
//!
//! Routes are tried in the order of the configuration; the first that matches wins. A pattern
//! matches the whole string, and a template may use its groups: `$0` is all, `$1` the first.

use regex::Regex;

use super::Error;

/// The longest dialled string or user name that is looked at.
const LONGEST_NUMBER: usize = 128;

/// A pattern that must match a whole number, and the number that it becomes.
#[derive(Clone, Debug)]
pub struct Rewrite {
    pattern: Regex,
    template: String,
}

impl Rewrite {
    /// Reads a pattern (the syntax of the `regex` crate) and a template.
    pub fn new(pattern: &str, template: &str) -> Result<Self, Error> {
        let whole = format!("^(?:{pattern})$");
        let pattern = Regex::new(&whole).map_err(|source| Error::Pattern {
            pattern: pattern.to_owned(),
            source,
        })?;
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

/// From a browser to a trunk.
#[derive(Clone, Debug)]
pub struct OutboundRoute {
    /// What is dialled and what the trunk is asked for.
    pub number: Rewrite,
    /// The users that may take this route; empty means everybody.
    pub users: Vec<String>,
    /// The trunk's name.
    pub trunk: String,
    /// Trunks that are asked, one after the other, where that one cannot.
    pub fallback: Vec<String>,
}

/// From a trunk to a browser's user.
#[derive(Clone, Debug)]
pub struct InboundRoute {
    /// The called number and the user that it belongs to.
    pub user: Rewrite,
    /// The trunk that the call must come from; none means any known trunk.
    pub trunk: Option<String>,
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
    pub fn outbound(&self, user: &str, dialled: &str) -> Option<Destination> {
        if !is_number(dialled) {
            return None;
        }
        self.outbound
            .iter()
            .filter(|route| route.users.is_empty() || route.users.iter().any(|name| name == user))
            .find_map(|route| {
                let number = route.number.apply(dialled)?;
                Some(Destination {
                    trunk: route.trunk.clone(),
                    fallback: route.fallback.clone(),
                    number,
                })
            })
    }

    /// The user that `number`, called through `trunk`, belongs to.
    pub fn inbound(&self, trunk: &str, number: &str) -> Option<String> {
        if !is_number(number) {
            return None;
        }
        self.inbound
            .iter()
            .filter(|route| route.trunk.as_deref().is_none_or(|name| name == trunk))
            .find_map(|route| route.user.apply(number))
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

    fn routes() -> Routes {
        Routes {
            outbound: vec![
                OutboundRoute {
                    number: Rewrite::new(r"\+49(\d+)", "0049$1").expect("a valid pattern"),
                    users: vec!["alice".to_owned()],
                    trunk: "world".to_owned(),
                    fallback: vec!["office".to_owned()],
                },
                OutboundRoute {
                    number: Rewrite::new(r"6\d\d", "$0").expect("a valid pattern"),
                    users: vec![],
                    trunk: "office".to_owned(),
                    fallback: vec![],
                },
            ],
            inbound: vec![InboundRoute {
                user: Rewrite::new("web-(.*)", "$1").expect("a valid pattern"),
                trunk: Some("office".to_owned()),
            }],
        }
    }

    #[test]
    fn the_first_route_that_matches_the_whole_number_wins() {
        let routes = routes();
        let office = routes
            .outbound("bob", "600")
            .expect("everybody may dial 6xx");
        assert_eq!(
            (office.trunk.as_str(), office.number.as_str()),
            ("office", "600")
        );
        assert_eq!(routes.outbound("bob", "6000"), None);
        assert_eq!(
            routes.outbound("bob", "+49301234"),
            None,
            "only alice may dial abroad"
        );
        let world = routes.outbound("alice", "+49301234").expect("alice may");
        assert_eq!(world.number, "004930".to_owned() + "1234");
        assert_eq!(world.fallback, ["office"]);
    }

    #[test]
    fn an_inbound_number_finds_its_user_only_through_its_trunk() {
        let routes = routes();
        assert_eq!(
            routes.inbound("office", "web-alice").as_deref(),
            Some("alice")
        );
        assert_eq!(routes.inbound("world", "web-alice"), None);
    }

    #[test]
    fn hostile_numbers_match_nothing() {
        let all = Routes {
            outbound: vec![OutboundRoute {
                number: Rewrite::new("(?s).*", "$0").expect("a valid pattern"),
                users: vec![],
                trunk: "any".to_owned(),
                fallback: vec![],
            }],
            inbound: vec![],
        };
        for number in ["", "1\r\nEvil: header", "a b", &"9".repeat(129)] {
            assert_eq!(all.outbound("bob", number), None, "{number:?}");
        }
    }
}
