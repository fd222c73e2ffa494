use super::shared::{MAX_SKETCHES, SeenUsers};
use super::*;
use crate::bucket::Seed;
use crate::decide::Audience;
use crate::index::{SplitIndex, VariantIndex};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn user(number: u32) -> Point {
    Seed::new("web", None).point(&number.to_le_bytes())
}

fn seen(numbers: impl Iterator<Item = u32>) -> Users {
    let mut users = Users::default();
    for number in numbers {
        users.add(user(number), Outcome::Failed);
    }
    users
}

/// Bits and registers by their definition, one after the other.
fn by_definition(number: u32) -> ([bool; FAILED_BITS], [u8; REGISTERS]) {
    let (mut bits, mut registers) = ([false; FAILED_BITS], [0; REGISTERS]);
    for hash in (0..number).map(|number| user(number).spread()) {
        bits[(hash % 1_024) as usize] = true;
        let register = (hash / 1_024 % 64) as usize;
        let digits = format!("{:048b}", hash >> 16);
        let rank = digits.find('1').unwrap_or(48) as u8 + 1;
        registers[register] = rank.max(registers[register]);
    }
    (bits, registers)
}

#[test]
fn bits_and_registers_are_those_of_the_definition() {
    for number in [0, 1, 10, 1_000, 100_000] {
        let users = seen(0..number);
        let (bits, registers) = by_definition(number);
        let words: Vec<bool> = users
            .failed_words()
            .iter()
            .flat_map(|word| (0..48).map(move |bit| word >> bit & 1 == 1))
            .collect();
        assert_eq!(words[..FAILED_BITS], bits, "{number}");
        assert!(words[FAILED_BITS..].iter().all(|bit| !bit), "{number}");
        let words: Vec<u8> = users
            .users_words()
            .iter()
            .flat_map(|word| (0..8).map(move |register| (word >> (register * 6)) as u8 & 63))
            .collect();
        assert_eq!(words, registers, "{number}");
    }
}

#[test]
fn counts_are_near_the_exact_ones() {
    let cases = [
        (0, 0, 0.0, 0.0),
        (10, 10, 10.0, 9.0),
        (1_000, 642, 1_010.0, 934.0),
        (100_000, 1_024, 7_098.0, 120_456.0),
        (10_000_000, 1_024, 7_098.0, 11_988_708.0),
    ];
    for (number, bits, failed, users) in cases {
        let seen = seen(0..number);
        let counted = (
            seen.failed_bits(),
            seen.failed().round(),
            seen.users().round(),
        );
        assert_eq!(counted, (bits, failed, users), "{number}");
    }
}

/// The standard errors that are promised, over a hundred salts.
#[test]
fn counts_are_right_on_average() {
    for (number, error_of_failed, error_of_users) in [(100_u32, 0.03, 0.13), (1_000, 0.04, 0.15)] {
        let counted: Vec<Users> = (0..100)
            .map(|salt| {
                let seed = Seed::new(&format!("salt-{salt}"), None);
                let mut users = Users::default();
                for number in 0..number {
                    users.add(seed.point(&number.to_le_bytes()), Outcome::Failed);
                }
                users
            })
            .collect();
        let check = |count: fn(&Users) -> f64, error: f64| {
            let ratios = counted.iter().map(|users| count(users) / f64::from(number));
            let mean = ratios.clone().sum::<f64>() / 100.0;
            let variance = ratios.map(|ratio| (ratio - 1.0).powi(2)).sum::<f64>() / 100.0;
            assert!((mean - 1.0).abs() < error / 3.0, "{number}: mean {mean}");
            assert!(
                variance.sqrt() < error,
                "{number}: error {}",
                variance.sqrt()
            );
        };
        check(Users::failed, error_of_failed);
        check(Users::users, error_of_users);
    }
}

#[test]
fn who_comes_again_counts_once() {
    let mut users = seen(0..100);
    let before = users.clone();
    for number in 0..100 {
        assert!(!users.add(user(number), Outcome::Failed));
        assert!(!users.add(user(number), Outcome::Answered));
    }
    assert_eq!(users, before);
}

#[test]
fn who_was_answered_is_a_user_that_did_not_fail() {
    let mut users = Users::default();
    assert!(users.add(user(1), Outcome::Answered));
    assert_eq!((users.failed_bits(), users.users().round()), (0, 1.0));
    assert!(users.add(user(1), Outcome::Failed), "and may fail later");
    assert_eq!((users.failed_bits(), users.users().round()), (1, 1.0));
}

#[test]
fn a_split_with_many_audiences_takes_the_room_of_no_other() {
    let mut seen = SeenUsers::default();
    let mut add = |split, audience| {
        let (split, variant) = (SplitIndex::new(split), VariantIndex::FALLBACK);
        seen.add(split, audience, variant, user(1), Outcome::Answered);
        seen.sketches()
    };
    for (split, rule) in (0..20).flat_map(|split| (0..64).map(move |rule| (split, rule))) {
        add(split, Audience::Rule(rule));
    }
    assert_eq!(add(0, Audience::Everyone), MAX_SKETCHES + 1);
    assert_eq!(add(99, Audience::Everyone), MAX_SKETCHES + 2);
    assert_eq!(add(99, Audience::Rule(0)), MAX_SKETCHES + 2, "and no more");
}

#[test]
fn joined_proxies_are_one_that_saw_everything() {
    let all = seen(0..1_000);
    let parts = [seen(0..400), seen(300..700), seen(500..1_000), seen(0..1)];
    let mut joined = Users::default();
    for part in &parts {
        joined.join(part);
    }
    assert_eq!(joined, all);
    assert!(!joined.join(&all), "nothing new");
}

#[test]
fn words_read_back_are_what_was_exported() {
    let users = seen(0..500);
    let mut read = Users::default();
    for (word, value) in (0..).zip(users.failed_words()) {
        read.join_failed_word(word, value);
    }
    for (word, value) in (0..).zip(users.users_words()) {
        read.join_users_word(word, value);
    }
    assert_eq!(read, users);
}

#[test]
fn words_that_nobody_exports_change_nothing() {
    let mut users = Users::default();
    users.join_failed_word(22, u64::MAX);
    users.join_failed_word(usize::MAX, u64::MAX);
    users.join_users_word(8, u64::MAX);
    users.join_users_word(usize::MAX, u64::MAX);
    assert_eq!(users, Users::default());
    users.join_failed_word(21, u64::MAX);
    assert_eq!(users.failed_bits(), 16, "the last word has 16 bits");
}
