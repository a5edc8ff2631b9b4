//! The order in which several equal things are tried: by priority, within a priority by chance in
//! proportion to weight (RFC 2782).

use rand::RngExt;
use rand::rngs::StdRng;

/// The 0 that may be drawn besides the weights is the share of those without weight. Multiplied
/// weights keep it from being a part of the first one's share that anybody notices.
const FINENESS: u64 = 1_000;

/// Orders items of `(priority, weight)`: lower priorities first; within one, each next item is
/// drawn by weight among those left, so that weights share out the first place as well as every
/// place after it. Weight 0 is drawn almost never while others are left.
pub fn arrange<T>(mut items: Vec<(u16, u16, T)>, random: &mut StdRng) -> Vec<T> {
    // Within a priority those without weight stand first: the draw of 0 is theirs.
    items.sort_by_key(|(priority, weight, _)| (*priority, *weight != 0));
    let mut ordered = Vec::with_capacity(items.len());
    while let Some((priority, ..)) = items.first() {
        let priority = *priority;
        let equals = items
            .iter()
            .take_while(|(other, ..)| *other == priority)
            .count();
        let weights = items[..equals]
            .iter()
            .map(|(_, weight, _)| u64::from(*weight) * FINENESS);
        let drawn = match equals {
            1 => 0,
            _ => random.random_range(0..=weights.clone().sum()),
        };
        let mut sum = 0;
        let chosen = weights
            .clone()
            .position(|weight| {
                sum += weight;
                sum >= drawn
            })
            .unwrap_or(0);
        ordered.push(items.remove(chosen).2);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::SeedableRng;

    use super::*;

    /// How often each stands at `place` among 20,000 draws, in percent.
    fn shares(items: &[(u16, u16, &'static str)], place: usize) -> HashMap<&'static str, f64> {
        let mut random = StdRng::seed_from_u64(11);
        let mut counts = HashMap::new();
        for _ in 0..20_000 {
            let ordered = arrange(items.to_vec(), &mut random);
            assert_eq!(ordered.len(), items.len());
            *counts.entry(ordered[place]).or_insert(0_u32) += 1;
        }
        counts
            .into_iter()
            .map(|(name, count)| (name, f64::from(count) / 200.0))
            .collect()
    }

    #[test]
    fn weights_share_out_the_first_place() {
        let shares = shares(&[(1, 10, "a"), (1, 30, "b"), (1, 60, "c")], 0);
        for (name, expected) in [("a", 10.0), ("b", 30.0), ("c", 60.0)] {
            let share = shares[name];
            // Five deviations of 20,000 draws are less than 2 points.
            assert!((share - expected).abs() < 2.0, "{name} {share} %");
        }
    }

    #[test]
    fn the_second_place_is_drawn_among_those_left() {
        // c is first in 60 % and never second then; P(b second) = .1*.3/.9 + .6*.3/.4.
        let shares = shares(&[(1, 10, "a"), (1, 30, "b"), (1, 60, "c")], 1);
        let share = shares["b"];
        assert!((share - 48.3).abs() < 2.0, "b {share} %");
    }

    #[test]
    fn priorities_come_before_weights() {
        let shares = shares(&[(2, 65_535, "later"), (1, 1, "first"), (3, 0, "last")], 0);
        assert_eq!(shares["first"], 100.0);
    }

    #[test]
    fn no_weight_is_almost_never_drawn_while_others_are_left() {
        let one = shares(&[(1, 0, "none"), (1, 999, "all")], 0);
        assert!(one["all"] > 99.5, "{one:?}");
        let even = shares(&[(1, 1, "a"), (1, 1, "b")], 0);
        assert!((even["a"] - 50.0).abs() < 2.0, "{even:?}");
        let equal = shares(&[(1, 0, "a"), (1, 0, "b")], 0);
        assert_eq!(equal["a"], 100.0, "without weights the order is as given");
    }
}
