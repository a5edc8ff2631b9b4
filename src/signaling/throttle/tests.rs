//! Guesses in virtual time.

use super::failures::GENERATION;
use super::*;

const LIMITS: AttemptLimits = AttemptLimits {
    per_address: 20,
    per_user_and_address: 5,
    per_user: 50,
    window: Duration::from_secs(150),
};

/// A throttle and its clock.
struct World {
    throttle: Throttle,
    now: Instant,
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn nth(n: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + n).to_be_bytes())
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "any moment will do as the first")]
    fn new() -> Self {
        let now = Instant::now();
        World {
            throttle: Throttle::new(LIMITS, now),
            now,
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn attempt(&mut self, subject: Subject<'_>, from: IpAddr) -> Result<Attempt, Wait> {
        self.throttle.attempt(subject, from, false, self.now)
    }

    /// A wrong password; whether it was looked at.
    fn guess(&mut self, user: &str, from: IpAddr) -> bool {
        self.attempt(Subject::Password(user), from).is_ok()
    }

    /// The right one; whether it was looked at.
    fn sign_in(&mut self, user: &str, from: IpAddr) -> bool {
        let attempt = self.attempt(Subject::Password(user), from);
        attempt
            .map(|attempt| self.throttle.succeeded(attempt))
            .is_ok()
    }

    /// How many of `tries` wrong passwords, one a second, were looked at.
    fn guesses(&mut self, tries: u32, user: &str, from: IpAddr) -> u32 {
        let mut looked_at = 0;
        for _ in 0..tries {
            looked_at += u32::from(self.guess(user, from));
            self.pass(1);
        }
        looked_at
    }
}

#[test]
fn guesses_of_one_user_from_one_address_are_few() {
    let mut world = World::new();
    let at_once = (0..1_000).filter(|_| world.guess("alice", nth(1))).count();
    assert_eq!(at_once, 5);
    // Two in a minute from then on.
    assert_eq!(world.guesses(600, "alice", nth(1)), 19);
    world.pass(150);
    assert_eq!(world.guesses(5, "alice", nth(1)), 5, "all are forgotten");
}

#[test]
fn guesses_of_many_users_from_one_address_share_its_budget() {
    let mut world = World::new();
    let users: Vec<String> = (0..1_000).map(|n| format!("user-{n}")).collect();
    let looked_at = users.iter().filter(|user| world.guess(user, nth(1)));
    assert_eq!(looked_at.count(), 20);
    assert!(world.guess("user-999", nth(2)), "another address");
    world.pass(15);
    let again = users.iter().filter(|user| world.guess(user, nth(1)));
    assert_eq!(again.count(), 2, "eight in a minute");
}

#[test]
fn wait_ends_when_it_was_told_to() {
    let mut world = World::new();
    assert_eq!(world.guesses(6, "alice", nth(1)), 5);
    let refused = world.attempt(Subject::Password("alice"), nth(1));
    let wait = refused.expect_err("five at once");
    assert!(!wait.is_first, "the sixth above was");
    assert_eq!(wait.retry_after.as_secs(), 24, "30 s, and 6 have passed");
    world.now += wait.retry_after - Duration::from_millis(10);
    assert!(!world.guess("alice", nth(1)));
    world.now += Duration::from_millis(20);
    assert!(world.guess("alice", nth(1)));
    let refused = world.attempt(Subject::Password("alice"), nth(1));
    assert!(refused.expect_err("one every 30 s").is_first);
}

#[test]
fn refused_attempts_cost_nothing() {
    let mut world = World::new();
    // One page with an old password, again and again: its neighbours' budget is theirs.
    assert_eq!(world.guesses(300, "alice", nth(1)), 14);
    for user in ["bob", "carol", "dave"] {
        assert!(world.sign_in(user, nth(1)), "{user}");
    }
}

#[test]
fn right_password_costs_nothing_and_forgives_the_user_there() {
    let mut world = World::new();
    for _ in 0..1_000 {
        assert!(world.sign_in("alice", nth(1)));
    }
    assert_eq!(world.guesses(4, "alice", nth(1)), 4);
    assert!(world.sign_in("alice", nth(1)));
    assert_eq!(world.guesses(4, "alice", nth(1)), 4);
}

#[test]
fn own_account_does_not_refill_the_budget_of_its_address() {
    let mut world = World::new();
    let mut looked_at = 0;
    for n in 0..1_000 {
        looked_at += u32::from(world.guess(&format!("user-{n}"), nth(1)));
        assert!(
            world.sign_in("mallory", nth(1)),
            "has signed in there before"
        );
    }
    assert_eq!(looked_at, 20);
}

#[test]
fn user_who_signed_in_at_an_address_is_not_shut_out_by_others_there() {
    let mut world = World::new();
    assert!(world.sign_in("alice", nth(1)));
    for n in 0..100 {
        world.guess(&format!("user-{n}"), nth(1));
    }
    assert!(!world.guess("bob", nth(1)), "not seen here before");
    assert!(world.sign_in("alice", nth(1)));
    assert_eq!(
        world.guesses(50, "alice", nth(1)),
        6,
        "and no more than that"
    );
}

#[test]
fn guesses_from_everywhere_do_not_lock_the_user_out() {
    let mut world = World::new();
    assert!(world.sign_in("alice", nth(1)));
    let botnet = |n: u32| nth(1_000 + n);
    let looked_at = |world: &mut World| {
        let sources = (0..200).map(botnet);
        sources.filter(|from| world.guess("alice", *from)).count()
    };
    assert_eq!(looked_at(&mut world), 200, "the first of each address");
    assert_eq!(looked_at(&mut world), 0, "no second one at once");
    assert!(world.sign_in("alice", nth(1)));
    assert!(
        world.sign_in("alice", nth(2)),
        "nothing is wrong with this address"
    );
    world.pass(20);
    assert_eq!(looked_at(&mut world), 0);
    world.pass(10);
    assert_eq!(looked_at(&mut world), 200, "when theirs are forgotten");
    // One who mistypes meanwhile waits, and is in.
    assert!(world.guess("alice", nth(3)));
    let refused = world.attempt(Subject::Password("alice"), nth(3));
    let wait = refused.expect_err("alice is being guessed");
    assert!(wait.retry_after <= Duration::from_secs(30));
    world.now += wait.retry_after;
    assert!(world.sign_in("alice", nth(3)));
}

#[test]
fn tokens_are_limited_as_passwords_are_and_beside_them() {
    let mut world = World::new();
    let tries = |world: &mut World, name| {
        let tries = (0..100).map(|_| world.attempt(Subject::Token(name), nth(1)));
        tries.filter(Result::is_ok).count()
    };
    assert_eq!(tries(&mut world, "alice"), 5);
    assert_eq!(tries(&mut world, ""), 5, "names no user");
    assert!(world.sign_in("alice", nth(1)), "her password was not tried");
    let all: usize = ["a", "b", "c", "d"]
        .into_iter()
        .map(|name| tries(&mut world, name))
        .sum();
    assert_eq!(all, 10, "20 of this address");
}

#[test]
fn expired_token_is_no_guess() {
    let mut world = World::new();
    for _ in 0..1_000 {
        let attempt = world.attempt(Subject::Token("dave"), nth(1));
        let attempt = attempt.expect("costs nothing");
        world.throttle.was_no_guess(attempt);
    }
}

#[test]
fn addresses_of_one_ipv6_64_are_one_source() {
    let mut world = World::new();
    let mut looked_at = 0;
    for host in 0..1_000_u16 {
        let from = format!("2001:db8:0:7::{host:x}");
        looked_at += u32::from(world.guess(&format!("user-{host}"), address(&from)));
    }
    assert_eq!(looked_at, 20);
    assert!(
        world.guess("alice", address("2001:db8:0:8::1")),
        "another /64"
    );
    for _ in 0..20 {
        world.guess("alice", address("192.0.2.1"));
    }
    assert!(
        !world.guess("alice", address("::ffff:192.0.2.1")),
        "mapped IPv4"
    );
}

#[test]
fn proxy_without_clients_has_no_budget_of_its_own() {
    let mut world = World::new();
    let proxy = nth(1);
    for n in 0..1_000 {
        let user = format!("user-{n}");
        let attempt = world
            .throttle
            .attempt(Subject::Password(&user), proxy, true, world.now);
        assert!(attempt.is_ok(), "{user}");
    }
    let of_alice = (0..100).filter(|_| {
        let subject = Subject::Password("alice");
        let attempt = world.throttle.attempt(subject, proxy, true, world.now);
        attempt.is_ok()
    });
    assert_eq!(of_alice.count(), 5);
}

#[test]
fn memory_is_bounded_whoever_guesses() {
    let mut world = World::new();
    let entries = |throttle: &Throttle| {
        let pairs = &throttle.pairs;
        let sizes = [
            throttle.sources.younger.len() + throttle.sources.older.len(),
            pairs.younger.len() + pairs.older.len(),
            throttle.users.younger.len() + throttle.users.older.len(),
            throttle.signed_in.younger.len() + throttle.signed_in.older.len(),
            throttle.renewals.younger.len() + throttle.renewals.older.len(),
            throttle.names.younger.len() + throttle.names.older.len(),
        ];
        sizes.into_iter().max().expect("six")
    };
    for n in 0..100_000 {
        let user = format!("user-{n}");
        assert!(world.guess(&user, nth(n)));
        assert!(world.sign_in(&user, nth(n)));
        assert!(world.renew(&user, nth(n)));
        assert!(world.throttle.name(nth(n), false, world.now).is_ok());
        assert!(entries(&world.throttle) <= 2 * GENERATION);
    }
    // What came last is remembered.
    for n in 90_000..90_010 {
        assert_eq!((0..9).filter(|_| world.guess("alice", nth(n))).count(), 5);
    }
    world.pass(150);
    world.guess("alice", nth(1));
    world.pass(150);
    world.guess("alice", nth(1));
    // What is forgotten is dropped.
    let Throttle { sources, pairs, .. } = &world.throttle;
    assert_eq!(sources.younger.len() + sources.older.len(), 1);
    assert_eq!(pairs.younger.len() + pairs.older.len(), 1);
}

#[test]
fn failures_are_kept_a_whole_window_whenever_a_generation_ends() {
    for offset in [0, 1, 74, 149] {
        let mut world = World::new();
        world.pass(offset);
        assert_eq!((0..9).filter(|_| world.guess("alice", nth(1))).count(), 5);
        let mut looked_at = 0;
        // Others make the tables age meanwhile.
        for n in 0..29 {
            world.pass(1);
            world.guess("bob", nth(100 + n));
            looked_at += u32::from(world.guess("alice", nth(1)));
        }
        assert_eq!(looked_at, 0, "after {offset} s");
    }
}

#[test]
fn clock_that_stands_still_or_jumps_costs_nothing() {
    let mut world = World::new();
    let earlier = world.now;
    world.pass(10_000_000);
    assert!(world.guess("alice", nth(1)));
    world.now = earlier;
    assert_eq!((0..9).filter(|_| world.guess("alice", nth(1))).count(), 4);
}

impl World {
    /// A token that names `claimed`, forged, to renew a session of `user`; whether it was looked at.
    fn forge(&mut self, user: &str, claimed: &str, from: IpAddr) -> Result<Attempt, Wait> {
        self.throttle.renewal(user, claimed, from, false, self.now)
    }

    /// The right one.
    fn renew(&mut self, user: &str, from: IpAddr) -> bool {
        let attempt = self.forge(user, user, from);
        attempt
            .map(|attempt| self.throttle.was_no_guess(attempt))
            .is_ok()
    }

    /// Signs in by a token of one's own.
    fn show_token(&mut self, user: &str, from: IpAddr) -> bool {
        let attempt = self.attempt(Subject::Token(user), from);
        attempt
            .map(|attempt| self.throttle.succeeded(attempt))
            .is_ok()
    }
}

#[test]
fn renewals_that_name_another_user_are_limited_as_sign_ins_are() {
    let mut world = World::new();
    assert!(world.show_token("bob", nth(1)));
    let mut looked_at = 0;
    for _ in 0..41 {
        for _ in 0..4 {
            looked_at += u32::from(world.forge("bob", "alice", nth(1)).is_ok());
        }
        assert!(world.renew("bob", nth(1)), "his own is always looked at");
    }
    assert_eq!(looked_at, 5);
    for n in 0..1_000 {
        let claimed = format!("user-{n}");
        looked_at += u32::from(world.forge("bob", &claimed, nth(1)).is_ok());
        assert!(world.renew("bob", nth(1)));
        assert!(world.show_token("bob", nth(1)));
    }
    assert_eq!(looked_at, 20);
    // The budget of the address is one for both.
    let refused = world.attempt(Subject::Password("carol"), nth(1));
    let wait = refused.expect_err("20 of this address");
    assert_eq!(wait.retry_after.as_millis(), 7_500);
}

#[test]
fn right_renewals_do_not_pay_for_forged_ones_of_the_same_user() {
    let mut world = World::new();
    let mut looked_at = 0;
    for _ in 0..1_000 {
        looked_at += u32::from(world.forge("bob", "bob", nth(1)).is_ok());
        let _ = world.renew("bob", nth(1));
        let _ = world.show_token("bob", nth(1));
    }
    assert_eq!(looked_at, 5);
    assert!(!world.renew("bob", nth(1)));
    world.pass(30);
    assert!(world.renew("bob", nth(1)), "two in a minute");
    assert!(world.renew("bob", nth(2)), "another address");
    // They count for sign-ins of others.
    let users: Vec<String> = (0..100).map(|n| format!("user-{n}")).collect();
    let others = users.iter().filter(|user| world.guess(user, nth(1)));
    assert_eq!(others.count(), 15 + 4, "5 less 4 that are forgotten by now");
}

#[test]
fn own_token_does_not_pay_for_forged_ones_at_the_door() {
    let mut world = World::new();
    let mut looked_at = 0;
    for _ in 0..1_000 {
        let forged = world.attempt(Subject::Token("mallory"), nth(1));
        looked_at += u32::from(forged.is_ok());
        let _ = world.show_token("mallory", nth(1));
    }
    assert_eq!(looked_at, 5);
}

#[test]
fn renewal_is_looked_at_whatever_others_at_its_address_try() {
    let mut world = World::new();
    assert!(world.show_token("dave", nth(1)));
    for turn in 0..400 {
        for _ in 0..5 {
            let _ = world.attempt(Subject::Token("dave"), nth(1));
            let _ = world.attempt(Subject::Password("dave"), nth(1));
            let _ = world.attempt(Subject::Token(""), nth(1));
        }
        let _ = world.forge("mallory", "dave", nth(1));
        for n in 0..20 {
            world.guess(&format!("user-{n}"), nth(1));
            let _ = world.attempt(Subject::Token("dave"), nth(100 + n));
        }
        assert!(world.renew("dave", nth(1)), "turn {turn}");
        assert!(world.renew("dave", nth(2)), "turn {turn}, moved");
        world.pass(1);
    }
    // Behind a proxy that tells no clients.
    for _ in 0..1_000 {
        let _ = world
            .throttle
            .attempt(Subject::Token("dave"), nth(3), true, world.now);
    }
    let renewal = world
        .throttle
        .renewal("dave", "dave", nth(3), true, world.now);
    assert!(renewal.is_ok());
}

#[test]
fn wait_is_never_longer_than_the_window() {
    let mut world = World::new();
    let users: Vec<String> = (0..300).map(|n| format!("user-{n}")).collect();
    for user in &users {
        assert!(world.show_token(user, nth(1)));
        assert!(world.sign_in(user, nth(1)));
    }
    // Who has signed in here is looked at though the budget of the address is used up: these count
    // there, too.
    let mut looked_at = 0;
    for _ in 0..9 {
        for user in &users {
            looked_at += u32::from(world.guess(user, nth(1)));
            looked_at += u32::from(world.forge(user, user, nth(1)).is_ok());
        }
    }
    assert_eq!(looked_at, 300 * 10);
    for subject in [Subject::Password("carol"), Subject::Token("carol")] {
        let refused = world.attempt(subject, nth(1)).expect_err("used up");
        assert_eq!(refused.retry_after.as_millis(), 7_500);
    }
    let of_user = world.attempt(Subject::Password("user-1"), nth(1));
    assert_eq!(of_user.expect_err("used up").retry_after.as_secs(), 30);
    // While a user is guessed from everywhere, an address with failures waits until all are
    // forgotten: a window, no longer.
    assert_eq!((0..9).filter(|_| world.guess("dave", nth(2))).count(), 5);
    for n in 0..1_000 {
        world.guess("dave", nth(1_000 + n));
    }
    let of_user = world.attempt(Subject::Password("dave"), nth(2));
    let wait = of_user.expect_err("guessed from everywhere").retry_after;
    assert_eq!(wait, LIMITS.window);
}

#[test]
fn success_beyond_the_budget_of_the_address_opens_it_for_nobody() {
    let mut world = World::new();
    assert!(world.sign_in("alice", nth(1)));
    assert!(world.show_token("bob", nth(1)));
    for n in 0..20 {
        assert!(world.guess(&format!("user-{n}"), nth(1)));
    }
    for n in 0..1_000 {
        assert!(world.sign_in("alice", nth(1)));
        assert!(world.show_token("bob", nth(1)));
        assert!(world.renew("bob", nth(1)));
        assert!(!world.guess(&format!("another-{n}"), nth(1)));
    }
}

#[test]
fn names_without_passwords_are_few_and_cost_nobody_a_password() {
    let mut world = World::new();
    let named = |world: &mut World, is_user: bool| {
        let attempt = world.throttle.name(nth(1), false, world.now);
        attempt
            .map(|attempt| {
                if !is_user {
                    world.throttle.was_no_guess(attempt);
                }
            })
            .is_ok()
    };
    // Guests by names that are nobody's: any number.
    assert_eq!(
        (0..1_000).filter(|_| named(&mut world, false)).count(),
        1_000
    );
    assert_eq!((0..1_000).filter(|_| named(&mut world, true)).count(), 20);
    assert!(!named(&mut world, false), "or the answer would tell");
    assert!(world.sign_in("alice", nth(1)));
    assert!(world.throttle.name(nth(2), false, world.now).is_ok());
    world.pass(8);
    assert!(named(&mut world, true));
}
