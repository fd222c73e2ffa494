use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn message(event: Event) -> Message {
    Message {
        event,
        at: at(0),
        run: 4,
        version: None,
        step: None,
        steps: None,
        weight: None,
        text: String::new(),
    }
}

fn queue(events: &[Event], to: &[&str]) -> Queue {
    let mut queue = Queue::default();
    for event in events {
        queue.put(&message(*event), to.iter().map(|id| (*id).to_owned()));
    }
    queue
}

fn due(queue: &mut Queue, now: Timestamp) -> Vec<(u64, String)> {
    let due = queue.take_due(now).into_iter();
    due.map(|due| (due.number, due.to)).collect()
}

fn later(after: Option<u64>) -> Outcome {
    Outcome::Later {
        why: "answered 500".to_owned(),
        after: after.map(Duration::from_secs),
    }
}

#[test]
fn each_message_is_due_once_for_each_receiver() {
    let mut queue = queue(&[Event::Started, Event::Aborted], &["b", "a", "a"]);
    let named = |number, to: &str| (number, to.to_owned());
    let all = [named(1, "a"), named(1, "b"), named(2, "a"), named(2, "b")];
    assert_eq!(due(&mut queue, at(0)), all);
    assert_eq!(
        due(&mut queue, at(4)),
        [],
        "what is being sent is not sent again at once"
    );
}

#[test]
fn a_message_that_was_received_is_forgotten() {
    let mut queue = queue(&[Event::Started], &["a"]);
    let sent = queue.take_due(at(0)).remove(0);
    queue.settle(&sent, &Outcome::Sent, at(1));
    let empty = Queue {
        last: 1,
        ..Queue::default()
    };
    assert_eq!(queue, empty);
    assert_eq!(queue.next(), None);
}

#[test]
fn one_receiver_that_fails_delays_no_other() {
    let mut queue = queue(&[Event::Started], &["a", "b"]);
    let [first, second] = queue.take_due(at(0)).try_into().unwrap();
    queue.settle(&first, &later(None), at(1));
    queue.settle(&second, &Outcome::Sent, at(1));
    let next = queue.next().unwrap();
    assert!((at(5)..at(7)).contains(&next), "{next}");
    assert_eq!(due(&mut queue, next), [(1, "a".to_owned())]);
    assert_eq!(queue.trouble(), Some("answered 500"));
}

#[test]
fn pauses_grow_and_then_a_message_is_given_up() {
    let mut queue = queue(&[Event::Started], &["a"]);
    let mut pauses = Vec::new();
    let mut now = at(0);
    while let Some(next) = queue.next() {
        pauses.push(next.duration_since(now).as_secs());
        now = next;
        let sent = queue.take_due(now).remove(0);
        queue.settle(&sent, &later(None), now);
    }
    assert_eq!(pauses.len(), MAX_ATTEMPTS as usize);
    let shortest = [
        0, 5, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600, 600, 600, 600,
    ];
    for (pause, shortest) in pauses.iter().zip(shortest) {
        assert!(
            (shortest..=shortest + shortest / 4).contains(pause),
            "{pauses:?}"
        );
    }
    assert_eq!((queue.lost(), queue.trouble()), (1, Some("answered 500")));
}

#[test]
fn a_receiver_says_how_long_it_wants_to_be_left_alone_within_limits() {
    let cases = [
        (None, 5),
        (Some(1), 5),
        (Some(120), 120),
        (Some(u64::MAX), 3_600),
    ];
    for (after, least) in cases {
        let mut queue = queue(&[Event::Started], &["a"]);
        let sent = queue.take_due(at(0)).remove(0);
        queue.settle(&sent, &later(after), at(0));
        let next = queue.next().unwrap();
        assert!(
            (at(least)..at(least + 2)).contains(&next),
            "{after:?}: {next}"
        );
    }
}

#[test]
fn a_refusal_is_not_tried_again() {
    let mut queue = queue(&[Event::Started], &["a"]);
    let sent = queue.take_due(at(0)).remove(0);
    let why = "answered 404".to_owned();
    queue.settle(&sent, &Outcome::Never { why }, at(0));
    assert_eq!(
        (queue.next(), queue.lost(), queue.trouble()),
        (None, 1, Some("answered 404"))
    );
}

#[test]
fn of_too_many_the_oldest_step_is_given_up_and_else_the_oldest() {
    let mut some = queue(&[Event::Started, Event::Stepped], &["a"]);
    for _ in 0..MAX_WAITING - 1 {
        some.put(&message(Event::Paused), ["a".to_owned()]);
    }
    some.put(&message(Event::RolledBack), ["a".to_owned()]);
    let left = due(&mut some, at(0)).into_iter().map(|(number, _)| number);
    assert_eq!(left.collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8]);
    assert_eq!(some.lost(), 2);
}

#[test]
fn what_waits_for_a_receiver_that_is_gone_is_forgotten() {
    let mut queue = queue(&[Event::Started], &["a", "b"]);
    queue.retain(|id| id == "b");
    assert_eq!(due(&mut queue, at(0)), [(1, "b".to_owned())]);
    queue.retain(|_| false);
    assert_eq!(queue.next(), None);
}

#[test]
fn a_crash_before_the_status_is_kept_repeats_number_and_key() {
    let kept = queue(&[Event::Started], &["a"]);
    let key = |mut queue: Queue| {
        queue.put(&message(Event::RolledBack), ["a".to_owned()]);
        let subject = Subject {
            uid: "5f1c.7".to_owned(),
            namespace: "shop".to_owned(),
            rollout: "web".to_owned(),
            split: "web".to_owned(),
            challenger: "canary".to_owned(),
        };
        queue.take_due(at(0)).pop().unwrap().key(&subject)
    };
    assert_eq!(key(kept.clone()), "5f1c_7-4-rolledBack-2");
    assert_eq!(key(kept), "5f1c_7-4-rolledBack-2");
}

#[test]
fn a_full_queue_stays_small_and_is_read_again() {
    let mut queue = Queue::default();
    let long = Message {
        version: Some("ü".repeat(1_000)),
        step: Some(50),
        steps: Some(50),
        weight: Some(99.999),
        text: "ü".repeat(1_000),
        ..message(Event::Superseded)
    };
    for _ in 0..20 {
        queue.put(&long, ["0123abcd".to_owned()]);
    }
    let json = serde_json::to_string(&queue).unwrap();
    assert!(json.len() < 3_600, "{}", json.len());
    assert_eq!(serde_json::from_str::<Queue>(&json).unwrap(), queue);
}
