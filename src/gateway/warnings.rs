//! What is usable in a configuration but hardly meant. Each warning has file and line where they
//! are known.

use crate::settings::{self, Secret, Settings};

/// What the log says at each start.
pub(super) fn at_start(settings: &Settings) -> Vec<String> {
    let mut warnings: Vec<String> = settings
        .open_routes()
        .map(|(index, route)| {
            format!(
                "route[{index}] (match {:?}, trunk {:?}) is open to guests: whoever reaches the \
                 page can call there without credentials",
                route.pattern, route.trunk
            )
        })
        .collect();
    warnings.extend(unknown_users(settings));
    let variables = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    warnings.extend(
        settings::misnamed_variables(variables).map(|(written, meant)| {
            format!("{written}: is not read, parts of a key are joined by two underscores: {meant}")
        }),
    );
    warnings
}

/// What `trunkline check` says. That a password is a placeholder stands in no log: whoever reads it
/// would know the password.
pub(super) fn of_check(settings: &Settings) -> Vec<String> {
    let mut warnings = at_start(settings);
    warnings.extend(placeholders(settings));
    warnings
}

/// Names that no user has. With tokens there may be users of any name: nothing is said then.
fn unknown_users(settings: &Settings) -> Vec<String> {
    if settings.takes_tokens() {
        return Vec::new();
    }
    let names = || settings.user.iter().map(|user| user.name.as_str());
    let warning = |key: String, written: &str| {
        let place = settings.place(&key);
        let nearest = match settings::nearest(names(), written) {
            Some(nearest) => format!("; the nearest is {nearest:?}"),
            None => String::new(),
        };
        format!("{place}{key}: no [[user]] has the name {written:?}{nearest}")
    };
    let is_unknown = |name: &str| names().all(|known| known != name);
    let mut warnings = Vec::new();
    for (index, route) in settings.route.iter().enumerate() {
        for (at, user) in route.users.iter().enumerate() {
            if is_unknown(user) {
                warnings.push(warning(format!("route[{index}].users[{at}]"), user));
            }
        }
    }
    for (index, route) in settings.inbound.iter().enumerate() {
        // What a group stands for is known when a call comes.
        if !route.user.contains('$') && is_unknown(&route.user) {
            warnings.push(warning(format!("inbound[{index}].user"), &route.user));
        }
    }
    warnings
}

/// Secrets that were copied from an example.
fn placeholders(settings: &Settings) -> Vec<String> {
    let mut secrets: Vec<(String, Option<&Secret>)> = Vec::new();
    for (index, user) in settings.user.iter().enumerate() {
        let key = |key: &str| format!("user[{index}].{key}");
        secrets.push((key("password"), Some(&user.password)));
        secrets.push((key("trunk_password"), user.trunk_password.as_ref()));
    }
    for (index, trunk) in settings.trunk.iter().enumerate() {
        let key = |key: &str| format!("trunk[{index}].{key}");
        secrets.push((key("password"), trunk.account.password.as_ref()));
        secrets.push((
            key("inbound_auth.password"),
            trunk.inbound_auth.password.as_ref(),
        ));
    }
    for (index, server) in settings.webrtc.ice_servers.iter().enumerate() {
        let key = format!("webrtc.ice_servers[{index}].credential");
        secrets.push((key, server.credential.as_ref()));
    }
    secrets.push((
        "sign_in.jwt_key".to_owned(),
        settings.sign_in.jwt_key.as_ref(),
    ));
    let is_one = |secret: &&Secret| is_placeholder(secret.0.reveal());
    let found = secrets
        .into_iter()
        .filter(|(_, secret)| secret.as_ref().is_some_and(is_one));
    found
        .map(|(key, _)| {
            let place = settings.place(&key);
            format!("{place}{key}: *** is the placeholder of an example, not a secret")
        })
        .collect()
}

/// Whether a secret is one of the texts that stand for a secret to be chosen.
fn is_placeholder(secret: &str) -> bool {
    let text = secret.trim().to_lowercase();
    let only =
        |marks: &[char]| text.chars().count() >= 3 && text.chars().all(|c| marks.contains(&c));
    let letters: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    let in_brackets = text.len() > 2 && text.starts_with('<') && text.ends_with('>');
    let words = [
        "changeme",
        "changethis",
        "changeit",
        "replaceme",
        "replacethis",
        "todo",
        "placeholder",
        "yourpassword",
        "yoursecret",
        "yourpasswordhere",
        "yoursecrethere",
    ];
    text == "\u{2026}"
        || only(&['.'])
        || only(&['*'])
        || only(&['x'])
        || in_brackets
        || words.contains(&letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redacted::Redacted;
    use crate::settings::{Inbound, Route, User};

    fn with_users(names: &[&str]) -> Settings {
        let user = |name: &&str| User::new(*name, Redacted::new("correct-horse".to_owned()));
        Settings {
            user: names.iter().map(user).collect(),
            ..Settings::default()
        }
    }

    fn route(users: &[&str]) -> Route {
        Route {
            users: users.iter().map(|name| (*name).to_owned()).collect(),
            ..Route::new("x", "office")
        }
    }

    fn inbound(user: &str) -> Inbound {
        Inbound {
            pattern: "web-(.*)".to_owned(),
            user: user.to_owned(),
            trunk: None,
        }
    }

    #[test]
    fn user_that_does_not_exist_is_told_with_the_nearest() {
        let mut settings = with_users(&["alice", "bob"]);
        settings.route = vec![route(&["alice", "alic"]), route(&["Bob", "zoe"])];
        settings.inbound = ["bob", "$1", "bobb", "sales"].map(inbound).to_vec();
        let told = unknown_users(&settings);
        assert_eq!(
            told,
            [
                "route[0].users[1]: no [[user]] has the name \"alic\"; the nearest is \"alice\"",
                "route[1].users[0]: no [[user]] has the name \"Bob\"; the nearest is \"bob\"",
                "route[1].users[1]: no [[user]] has the name \"zoe\"",
                "inbound[2].user: no [[user]] has the name \"bobb\"; the nearest is \"bob\"",
                "inbound[3].user: no [[user]] has the name \"sales\"",
            ]
        );
    }

    #[test]
    fn user_who_may_come_by_token_is_not_told() {
        let mut settings = with_users(&[]);
        settings.route = vec![route(&["alice"])];
        assert_eq!(unknown_users(&settings).len(), 1);
        settings.sign_in.jwt_key_file = Some("/etc/trunkline/jwt.pem".into());
        assert_eq!(unknown_users(&settings), Vec::<String>::new());
    }

    #[test]
    fn placeholder_of_an_example_is_told_and_never_shown() {
        let secret = |text: &str| Secret(Redacted::new(text.to_owned()));
        let mut settings = with_users(&["alice"]);
        settings.user[0].password = secret("changeme");
        settings.user[0].trunk_password = Some(secret("..."));
        let mut trunk = settings::Trunk::default();
        trunk.account.password = Some(secret("<password>"));
        trunk.inbound_auth.password = Some(secret("tin-whistle"));
        settings.trunk = vec![trunk];
        let told = placeholders(&settings);
        assert_eq!(told.len(), 3, "{told:?}");
        for (line, key) in told.iter().zip([
            "user[0].password",
            "user[0].trunk_password",
            "trunk[0].password",
        ]) {
            assert!(line.starts_with(&format!("{key}: ***")), "{line}");
        }
        assert!(!at_start(&settings).iter().any(|line| line.contains("***")));
    }

    #[test]
    fn placeholders_are_told_from_secrets() {
        for text in [
            "...",
            "\u{2026}",
            "....",
            "***",
            "xxxx",
            "XXX",
            "change-me",
            "CHANGE_ME",
            "Change this",
            "<secret>",
            "todo",
            "your-password",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
        for text in [
            "",
            "wonderland",
            "x",
            "..",
            "a...",
            "<>",
            "changemenow",
            "xxxy",
            "<a",
            "1234",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
