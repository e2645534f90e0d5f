//! Ways to make one thing wrong in a history, each with the property that it breaks.

use proptest::sample::Index;

use super::*;

/// Breaks one thing; `None` if the history has nothing of the kind.
pub(super) type Mutation = fn(&mut History, Index) -> Option<Property>;

pub(super) const MUTATIONS: &[Mutation] = &[
    lose_a_row,
    lose_a_row_and_close_up,
    repeat_a_row,
    record_again,
    swap_two_grants,
    acknowledge_twice,
    grant_one_more,
    forget_an_id,
    refuse_what_is_recorded,
    set_the_counter_back,
    set_the_counter_forward,
    record_under_another_key,
    record_in_another_epoch,
    draw_again_for_a_key,
    answer_another_request,
    replay_another_text,
    split_a_row,
    end_again,
    end_for_another,
];

fn pick<T>(mut candidates: Vec<T>, index: Index) -> Option<T> {
    if candidates.is_empty() {
        None
    } else {
        Some(candidates.swap_remove(index.index(candidates.len())))
    }
}

fn lose_a_row(history: &mut History, index: Index) -> Option<Property> {
    // The end of a number's story can be lost without a trace: it was good at every moment before.
    let ends_a_story =
        |row: &Row| matches!(row.kind, RowKind::Voided | RowKind::Confirmed | RowKind::Expired);
    let mut candidates = history.rows.len();
    if history.rows.last().is_some_and(ends_a_story) {
        candidates -= 1;
    }
    history.rows.remove(index.index(candidates));
    Some(Property::AccountedFor)
}

fn lose_a_row_and_close_up(history: &mut History, index: Index) -> Option<Property> {
    let place = row_of_an_answer(history, index)?;
    history.rows.remove(place);
    number_rows(history);
    Some(Property::Recorded)
}

fn repeat_a_row(history: &mut History, index: Index) -> Option<Property> {
    history.rows.push(index.get(&history.rows).clone());
    Some(Property::AccountedFor)
}

fn record_again(history: &mut History, index: Index) -> Option<Property> {
    let place = row_of_an_answer(history, index)?;
    let again = Row {
        key: None,
        n: history.rows.len() as u64 + 1,
        ..history.rows[place].clone()
    };
    history.rows.push(again);
    Some(Property::AccountedFor)
}

fn swap_two_grants(history: &mut History, index: Index) -> Option<Property> {
    let unkeyed: Vec<usize> = answers(history)
        .into_iter()
        .filter(|&call| history.calls[call].key.is_none())
        .collect();
    let alike = |a: &Grant, b: &Grant| (a.count, a.generation) == (b.count, b.generation);
    let pairs = unkeyed.windows(2).map(|pair| (pair[0], pair[1]));
    let (a, b) = pick(
        pairs
            .filter(|&(a, b)| alike(grant(history, a), grant(history, b)))
            .collect(),
        index,
    )?;
    let (first, second) = (history.calls[a].outcome.clone(), history.calls[b].outcome.clone());
    (history.calls[a].outcome, history.calls[b].outcome) = (second, first);
    Some(Property::RealTime)
}

fn acknowledge_twice(history: &mut History, index: Index) -> Option<Property> {
    let pairs = answers(history)
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .collect::<Vec<_>>();
    let same_draw = |a: &Call, b: &Call| a.key.is_some() && a.key == b.key;
    let calls = &history.calls;
    let (a, b) = pick(
        pairs
            .into_iter()
            .filter(|&(a, b)| !same_draw(&calls[a], &calls[b]))
            .collect(),
        index,
    )?;
    history.calls[b].outcome = history.calls[a].outcome.clone();
    Some(Property::Unique)
}

fn grant_one_more(history: &mut History, index: Index) -> Option<Property> {
    let call = pick(answers(history), index)?;
    grant_mut(history, call).count += 1;
    Some(Property::WholeBatch)
}

fn forget_an_id(history: &mut History, index: Index) -> Option<Property> {
    let call = pick(answers(history), index)?;
    grant_mut(history, call).ids.pop();
    Some(Property::WholeBatch)
}

fn refuse_what_is_recorded(history: &mut History, index: Index) -> Option<Property> {
    let keys = history
        .rows
        .iter()
        .filter(|row| row.kind.grants())
        .filter_map(|row| row.key.clone());
    let key = pick(keys.collect(), index)?;
    for call in history
        .calls
        .iter_mut()
        .filter(|call| call.key.as_ref() == Some(&key))
    {
        call.outcome = Outcome::NotIssued;
    }
    Some(Property::Recorded)
}

fn set_the_counter_back(history: &mut History, _: Index) -> Option<Property> {
    let end = &mut history.ends[0];
    end.next = end.next.checked_sub(end.step).filter(|&next| next >= end.start)?;
    Some(Property::AccountedFor)
}

fn set_the_counter_forward(history: &mut History, _: Index) -> Option<Property> {
    history.ends[0].next += history.ends[0].step;
    Some(Property::AccountedFor)
}

fn record_under_another_key(history: &mut History, index: Index) -> Option<Property> {
    let place = row_of_an_answer(history, index)?;
    history.rows[place].key = Some("of nobody".into());
    Some(Property::OneGrant)
}

fn record_in_another_epoch(history: &mut History, index: Index) -> Option<Property> {
    let place = row_of_an_answer(history, index)?;
    history.rows[place].epoch += 1;
    Some(Property::Recorded)
}

fn draw_again_for_a_key(history: &mut History, index: Index) -> Option<Property> {
    let keyed = history.rows.iter().filter(|row| row.key.is_some()).cloned();
    let again = pick(keyed.collect(), index)?;
    let CounterEnd {
        step,
        next,
        generation,
        ..
    } = history.ends[0];
    let n = history.rows.len() as u64 + 1;
    history.rows.push(Row {
        n,
        first: next,
        count: 1,
        generation,
        ..again
    });
    history.ends[0].next += step;
    Some(Property::OneGrant)
}

fn answer_another_request(history: &mut History, index: Index) -> Option<Property> {
    let replay = pick(replays(history), index)?;
    history.calls[replay].request = "next CN".into();
    Some(Property::OneGrant)
}

fn replay_another_text(history: &mut History, index: Index) -> Option<Property> {
    let replay = pick(replays(history), index)?;
    grant_mut(history, replay).ids[0].push('0');
    Some(Property::OneGrant)
}

fn split_a_row(history: &mut History, index: Index) -> Option<Property> {
    let place = row_of_an_answer(history, index)?;
    let whole = history.rows[place].clone();
    let rest = Row {
        first: whole.first + whole.step,
        count: whole.count - 1,
        key: None,
        ..whole
    };
    if rest.count == 0 {
        return None;
    }
    history.rows[place].count = 1;
    history.rows.insert(place + 1, rest);
    number_rows(history);
    Some(Property::WholeBatch)
}

fn end_again(history: &mut History, index: Index) -> Option<Property> {
    let ends = history.rows.iter().filter(|row| row.kind.ends_a_hold()).cloned();
    let again = pick(ends.collect(), index)?;
    let n = history.rows.len() as u64 + 1;
    history.rows.push(Row {
        n,
        kind: RowKind::Confirmed,
        ..again
    });
    Some(Property::Holds)
}

fn end_for_another(history: &mut History, index: Index) -> Option<Property> {
    let is_end = |at: &usize| history.rows[*at].kind.ends_a_hold();
    let at = pick((0..history.rows.len()).filter(is_end).collect(), index)?;
    history.rows[at].reservation = Some("of nobody".into());
    Some(Property::Holds)
}

/// The calls that were issued.
fn answers(history: &History) -> Vec<usize> {
    let is_issued = |&call: &usize| matches!(history.calls[call].outcome, Outcome::Issued(_));
    (0..history.calls.len()).filter(is_issued).collect()
}

/// The issued calls whose key was issued before.
fn replays(history: &History) -> Vec<usize> {
    let answers = answers(history);
    let pairs = answers.windows(2).map(|pair| (&history.calls[pair[0]], pair[1]));
    pairs
        .filter(|(before, call)| before.key.is_some() && before.key == history.calls[*call].key)
        .map(|(_, call)| call)
        .collect()
}

fn row_of_an_answer(history: &History, index: Index) -> Option<usize> {
    let call = pick(answers(history), index)?;
    let grant = grant(history, call);
    history
        .rows
        .iter()
        .position(|row| row.kind.grants() && (row.first, row.generation) == (grant.first, grant.generation))
}

fn grant(history: &History, call: usize) -> &Grant {
    match &history.calls[call].outcome {
        Outcome::Issued(grant) => grant,
        other => panic!("{other:?} has no grant"),
    }
}

fn grant_mut(history: &mut History, call: usize) -> &mut Grant {
    match &mut history.calls[call].outcome {
        Outcome::Issued(grant) => grant,
        other => panic!("{other:?} has no grant"),
    }
}

fn number_rows(history: &mut History) {
    for (n, row) in (1..).zip(&mut history.rows) {
        row.n = n;
    }
}
