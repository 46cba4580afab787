use super::*;
use proptest::prelude::*;

fn inputs(seed: &str) -> Inputs {
    vec![("model".into(), "abc".into()), ("seed".into(), seed.into())]
}

/// Sums 1 to `to`, and is stopped before the unit `at`.
fn sum(journal: &Journal, to: u64, at: u64) -> Option<f64> {
    let mut sum = journal.units("sum", || 0.0f64);
    for i in 1..=to {
        if sum.is_done() {
            continue;
        }
        if i == at {
            return None;
        }
        sum.state += 1.0 / i as f64;
        locked(&journal.shared.as_ref()?.kept).due = Instant::now();
        sum.finish().unwrap();
    }
    Some(sum.state)
}

#[test]
fn what_was_stopped_goes_on_with_the_same_bits() {
    let t = tempfile::tempdir().unwrap();
    let out = t.path().join("s.json");
    let open = |resume| Journal::open(&out, inputs("0"), resume).unwrap();
    let whole = sum(&open(false), 9, 0).unwrap();
    open(false).end();
    assert_eq!(sum(&open(false), 9, 5), None);
    assert_eq!(open(true).part("sum").found::<(usize, f64)>().unwrap().0, 4);
    let journal = open(true);
    let second = Journal::open(&out, inputs("0"), true).unwrap_err();
    assert!(second.to_string().contains("another process is writing here"), "{second}");
    assert_eq!(sum(&journal, 9, 3).map(f64::to_bits), Some(whole.to_bits()), "3 is not done again");
    journal.end();
    drop(journal);
    assert_eq!(fs::read_dir(t.path()).unwrap().count(), 0, "the journal is gone");
}

#[test]
fn what_is_left_beside_a_result_goes_unless_it_is_held() {
    let t = tempfile::tempdir().unwrap();
    let out = t.path().join("s.json");
    let journal = Journal::open(&out, inputs("0"), false).unwrap();
    assert_eq!(sum(&journal, 9, 5), None);
    Journal::remove_left(&out);
    let e = Journal::open(&out, inputs("0"), false).unwrap_err();
    assert!(e.to_string().contains("another process is writing here"), "{e}");
    drop(journal);
    fs::write(name_beside(&out, ".lock").unwrap(), "process 1 (tune), since 5 s after 1970\n")
        .unwrap();
    Journal::remove_left(&out);
    assert_eq!(fs::read_dir(t.path()).unwrap().count(), 0);
}

#[test]
fn other_inputs_are_refused_by_name_and_only_on_resume() {
    let t = tempfile::tempdir().unwrap();
    let out = t.path().join("s.json");
    assert_eq!(sum(&Journal::open(&out, inputs("0"), false).unwrap(), 9, 5), None);
    let e = Journal::open(&out, inputs("1"), true).unwrap_err();
    assert!(e.to_string().contains("another seed"), "{e}");
    let anew = Journal::open(&out, inputs("1"), false).unwrap();
    assert_eq!(anew.part("sum").found::<(usize, f64)>(), None);
}

#[test]
fn a_journal_that_is_not_whole_is_refused() {
    let t = tempfile::tempdir().unwrap();
    let out = t.path().join("s.json");
    assert_eq!(sum(&Journal::open(&out, inputs("0"), false).unwrap(), 9, 5), None);
    let file = name_beside(&out, ".journal").unwrap();
    let good = fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(parse(&bad), None, "byte {at}");
        assert_eq!(parse(&good[..at]), None, "cut at {at}");
    }
    fs::write(&file, &good[..good.len() - 1]).unwrap();
    let e = Journal::open(&out, inputs("0"), true).unwrap_err();
    assert!(e.to_string().contains("damaged"), "{e}");
}

/// Rows of 3 sums inside of a row of 4, each of other numbers; stopped before the unit `at` of all.
fn nested(journal: &Journal, at: usize) -> Option<Vec<f64>> {
    let mut rows = journal.units("rows", Vec::<f64>::new);
    let mut passed = 0;
    for i in 0..4 {
        passed += 3;
        if rows.is_done() {
            continue;
        }
        passed -= 3;
        let mut sum = journal.units("sum", || 0.0f64);
        for j in 0..3 {
            passed += 1;
            if sum.is_done() {
                continue;
            }
            if passed == at {
                return None;
            }
            sum.state += 1.0 / f64::from(3 * i + j + 1);
            locked(&journal.shared.as_ref()?.kept).due = Instant::now();
            sum.finish().unwrap();
        }
        rows.state.push(sum.state);
        // Kept at some, so that what is inside has to be found by its unit.
        if i % 2 == 0 {
            locked(&journal.shared.as_ref()?.kept).due = Instant::now();
        }
        rows.finish().unwrap();
    }
    Some(rows.state)
}

#[test]
fn parts_inside_of_units_are_found_wherever_it_stops() {
    let t = tempfile::tempdir().unwrap();
    let open =
        |name: &str, resume| Journal::open(&t.path().join(name), inputs("0"), resume).unwrap();
    let whole = nested(&open("whole", false), 0).unwrap();
    for at in 1..=12 {
        let name = at.to_string();
        assert_eq!(nested(&open(&name, false), at), None);
        for again in at + 1..=12 {
            assert_eq!(nested(&open(&name, true), again), None);
        }
        assert_eq!(nested(&open(&name, true), 0), Some(whole.clone()));
    }
}

#[test]
fn what_is_no_file_has_no_journal() {
    for out in ["-", "/dev/null"] {
        let journal = Journal::open(Path::new(out), vec![], true).unwrap();
        assert!(journal.shared.is_none(), "{out}");
    }
}

proptest! {
    #[test]
    fn states_come_back(
        list in prop::collection::vec(any::<(u64, bool)>(), 0..9),
        text in ".*",
        bits in any::<Option<u64>>(),
    ) {
        let state = (list, text, bits.map(f64::from_bits).map(f64::to_bits));
        let mut bytes = vec![];
        state.put(&mut bytes);
        prop_assert_eq!(state::read(&bytes), Some(state));
        prop_assert_eq!(state::read::<(Vec<(u64, bool)>, String, Option<u64>)>(&bytes[1..]), None);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
        let _ = state::read::<(Vec<Vec<String>>, Option<f64>)>(&bytes);
        prop_assert_eq!(parse(&bytes), None);
    }
}
