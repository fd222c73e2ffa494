use super::*;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Both = ((u32, u32), (u32, u32));

/// Of one audience.
fn stratum(fallback: Fallback, seconds: &[Both]) -> Stratum {
    let of = |&((responses, failed), (compared, its))| {
        (answers(responses, failed), answers(compared, its))
    };
    Stratum {
        fallback,
        seconds: seconds.iter().map(of).collect(),
    }
}

fn answers(responses: u32, failed: u32) -> Answers {
    Answers { responses, failed }
}

#[test]
fn a_challenger_is_taken_out_where_enough_fails_and_the_fallback_fails_less_than_half_as_often() {
    const NONE: (u32, u32) = (0, 0);
    type Seconds = &'static [((u32, u32), (u32, u32))];
    let cases: &[(&str, Seconds, Option<u32>)] = &[
        ("nothing was answered", &[], None),
        ("too few", &[((19, 19), NONE)], None),
        ("enough", &[((20, 20), NONE)], Some(1)),
        ("just enough of them fail", &[((20, 10), NONE)], Some(1)),
        ("one less", &[((20, 9), NONE)], None),
        (
            "enough in two seconds",
            &[((10, 10), NONE), ((10, 10), NONE)],
            Some(2),
        ),
        (
            "the last tenth second counts",
            &[((2, 2), NONE); 10],
            Some(10),
        ),
        ("the eleventh does not", &[((1, 1), NONE); 20], None),
        (
            "it was right before",
            &[((30, 30), NONE), ((500, 0), NONE)],
            Some(1),
        ),
        (
            "it is right now, and failed before",
            &[((5, 0), NONE), ((95, 50), NONE)],
            Some(2),
        ),
        ("the fallback fails as much", &[((20, 20), (20, 20))], None),
        (
            "the fallback fails half as often",
            &[((20, 20), (20, 10))],
            None,
        ),
        (
            "a little less, which may be chance",
            &[((20, 20), (20, 9))],
            None,
        ),
        ("a little less of more", &[((60, 60), (60, 27))], Some(1)),
        ("half of half", &[((20, 10), (20, 5))], None),
        (
            "the fallback failed in another second",
            &[((20, 20), (20, 0)), (NONE, (20, 20))],
            Some(1),
        ),
    ];
    for (label, seconds, expected) in cases {
        let verdict = Guard::default().verdict(&[stratum(Fallback::ServedToNobody, seconds)]);
        assert_eq!(
            verdict.map(|evidence| evidence.seconds),
            *expected,
            "{label}"
        );
    }
}

#[test]
fn a_guard_may_ask_for_less_or_for_more() {
    let guard = |failures, responses, within| Guard {
        failures: Percent::new(failures).unwrap(),
        responses,
        within,
    };
    let strata = [stratum(
        Fallback::ServedToNobody,
        &[((10, 3), (0, 0)), ((1_000, 1_000), (0, 0))],
    )];
    let verdict = |guard: Guard| guard.verdict(&strata).map(|evidence| evidence.seconds);
    assert_eq!(verdict(guard(30.0, 10, 1)), Some(1));
    assert_eq!(verdict(guard(30.001, 10, 1)), None);
    assert_eq!(verdict(guard(30.001, 10, 2)), Some(2));
    assert_eq!(verdict(guard(100.0, 1, 60)), None);
}

#[test]
fn a_fallback_that_is_served_must_have_answered_somebody() {
    const NONE: (u32, u32) = (0, 0);
    type Seconds = &'static [((u32, u32), (u32, u32))];
    let cases: &[(&str, Seconds, Option<u32>)] = &[
        ("nobody", &[((20, 20), NONE)], None),
        ("one who was answered", &[((20, 20), (1, 0))], Some(1)),
        ("one who failed", &[((20, 20), (1, 1))], None),
        (
            "one a second ago",
            &[((20, 20), NONE), (NONE, (1, 0))],
            Some(2),
        ),
        (
            "one who failed a second ago",
            &[((20, 20), NONE), (NONE, (1, 1))],
            None,
        ),
    ];
    for (label, seconds, expected) in cases {
        let verdict = Guard::default().verdict(&[stratum(Fallback::Served, seconds)]);
        assert_eq!(
            verdict.map(|evidence| evidence.seconds),
            *expected,
            "{label}"
        );
    }
}

/// Ten audiences of eight variants, for longer than any guard looks back.
#[test]
fn more_seconds_than_are_kept_never_leave_out_the_last_one() {
    use super::marks::mark;
    use super::seconds::Seconds;
    use crate::bucket::Point;
    use crate::index::VariantIndex;
    use crate::users::Outcome;

    use crate::config::Document;
    use crate::decide::Audience;
    use crate::plan::{Node, Plan};

    let document = Document::read(br#"{"splits": {"web": {"guard": {}}}}"#).unwrap();
    let plan = Plan::build(&document, &Node::default(), None);
    let split = plan.split_named("web").unwrap();
    let mut all = Seconds::default();
    for at in 1_000..1_200 {
        let mut fresh = Seconds::default();
        for (audience, variant) in
            (0..10).flat_map(|rule| (0..8).map(move |variant| (rule, variant)))
        {
            let user = Point::of_random(at as u32 * 8 + u32::from(variant));
            let mark = mark(user, Outcome::Answered);
            fresh.add(
                at,
                Audience::Rule(audience),
                VariantIndex::new(variant),
                mark,
            );
        }
        all.join(&fresh, MAX_WITHIN);
        let strata = all.strata(VariantIndex::new(7), MAX_WITHIN, split);
        let last: Vec<_> = strata.iter().map(|stratum| stratum.seconds[0]).collect();
        assert_eq!(last, [(answers(1, 0), answers(1, 0)); 10], "{at}");
    }
}

/// Simpson's paradox: who is in the canary is no chance where weights differ.
#[test]
fn audiences_are_compared_each_with_its_own() {
    use Fallback::{Served, ServedToNobody};
    let verdict = |strata: &[Stratum]| Guard::default().verdict(strata).is_some();
    let staff_fail_in_both = [
        stratum(Served, &[((22, 22), (38, 38))]),
        stratum(Served, &[((0, 0), (245, 0))]),
    ];
    assert!(!verdict(&staff_fail_in_both));
    let the_public_fail = [
        stratum(ServedToNobody, &[((552, 0), (0, 0))]),
        stratum(Served, &[((88, 88), (700, 0))]),
    ];
    assert!(verdict(&the_public_fail));
    let each_too_few = [
        stratum(Served, &[((10, 10), (50, 0))]),
        stratum(Served, &[((10, 10), (50, 0))]),
    ];
    assert!(verdict(&each_too_few), "all together");
    let and_they_fail_in_both = [
        stratum(Served, &[((10, 10), (50, 50))]),
        stratum(Served, &[((10, 10), (50, 50))]),
    ];
    assert!(!verdict(&and_they_fail_in_both));
}

/// Twenty responses and ten times to look back, four times a second: of many looks, one is odd.
#[test]
fn where_both_fail_alike_for_hours_nothing_is_taken_out() {
    let mut state = 20_261_121_u64;
    let mut is_drawn = |percent: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) % 100 < percent
    };
    for (percent, of_challenger, of_fallback) in
        [(10, 5, 95), (20, 5, 95), (20, 20, 60), (40, 20, 60)]
    {
        let mut seconds = vec![(answers(0, 0), answers(0, 0)); 10];
        for look in 0..4 * 3_600 {
            if look % 4 == 0 {
                seconds.rotate_right(1);
                seconds[0] = (answers(0, 0), answers(0, 0));
            }
            // A fourth of what a second brings, or one more.
            let mut serve = |number: u32| {
                let number = number / 4 + u32::from(look % 4 < number % 4);
                answers(
                    number,
                    (0..number).map(|_| u32::from(is_drawn(percent))).sum(),
                )
            };
            let (challenger, fallback) = (serve(of_challenger), serve(of_fallback));
            let (own, compared) = &mut seconds[0];
            (*own, *compared) = (own.and(challenger), compared.and(fallback));
            let strata = [Stratum {
                fallback: Fallback::Served,
                seconds: seconds.clone(),
            }];
            let verdict = Guard::default().verdict(&strata);
            assert_eq!(verdict, None, "{percent} % after {} s", look / 4);
        }
    }
}
