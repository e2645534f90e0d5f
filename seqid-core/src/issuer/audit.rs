use super::Issuer;
use super::sequences::Loaded;
use crate::counter::SequenceKey;
use crate::error::{Error, InvalidRequest};
use crate::field::{self, FieldValues, RawValues};
use crate::names::Prefix;
use crate::numbering::AuditRequest;
use crate::period::Reset;
use crate::query::{EventPage, EventQuery};
use crate::time::Date;

impl Issuer {
    pub(super) async fn read_audit(&self, request: AuditRequest) -> Result<EventPage, Error> {
        require_bounds(&request)?;
        Ok(self.store.query(&self.event_query(request).await?).await?)
    }

    async fn event_query(&self, request: AuditRequest) -> Result<EventQuery, Error> {
        let mut query = EventQuery::new(request.tenant.clone());
        query.actor.clone_from(&request.actor);
        query.client.clone_from(&request.client);
        query.request.clone_from(&request.request);
        query.reference.clone_from(&request.reference);
        query.kinds.clone_from(&request.kinds);
        (query.from, query.to) = (request.from, request.to);
        (query.after, query.order, query.limit) = (request.after, request.order, request.limit);
        query.numbers = request.numbers;
        if let Some(id) = request.id {
            let parsed = self.parse_id(request.tenant.clone(), request.prefix, id).await?;
            let key = SequenceKey::new(request.tenant, parsed.prefix);
            let sequence = self.require(&key).await?;
            query.numbers = Some((parsed.number, parsed.number));
            query.period = parsed.period.map(|period| period.to_string());
            let fields = sequence.head().definition.scope().len();
            query.scope = (parsed.scope.len() == fields).then(|| FieldValues::new(parsed.scope));
            query.prefix = Some(key.prefix);
        } else if let Some(prefix) = request.prefix.clone().filter(Prefix::is_whole) {
            query.prefix = Some(prefix);
        } else if let Some(prefix) = request.prefix {
            let sequence = self.require(&SequenceKey::new(request.tenant, prefix)).await?;
            let today = self.today(sequence.head().definition.zone());
            name_counter(&mut query, &sequence, (request.period, &request.scope), today)?;
            query.prefix = Some(sequence.key.prefix.clone());
        }
        Ok(query)
    }
}

/// Puts in as much of a counter's name as was asked for, or as is there.
fn name_counter(
    query: &mut EventQuery,
    sequence: &Loaded,
    (period, scope): (Option<String>, &RawValues),
    today: Date,
) -> Result<(), Error> {
    let definition = &sequence.head().definition;
    if !scope.is_empty() {
        query.scope = Some(field::resolve(definition.scope(), scope)?);
    } else if definition.scope().is_empty() && (period.is_some() || query.numbers.is_some()) {
        query.scope = Some(FieldValues::default());
    }
    let calendar = definition.calendar();
    query.period = match period {
        Some(text) => match calendar.parse_period(&text) {
            Some(period) => Some(period.to_string()),
            None => {
                let example = calendar.period(today).to_string();
                return Err(Error::Invalid {
                    pointer: "/period",
                    reason: InvalidRequest::Period(text, example),
                });
            }
        },
        // The sequence's only period.
        None if query.numbers.is_some() && calendar.reset() == Reset::Never => {
            Some(calendar.period(today).to_string())
        }
        None => None,
    };
    Ok(())
}

fn require_bounds(request: &AuditRequest) -> Result<(), Error> {
    let invalid = |pointer, what| Error::Invalid {
        pointer,
        reason: InvalidRequest::Contradiction(what),
    };
    if !(1..=EventQuery::LARGEST).contains(&request.limit) {
        return Err(Error::range(
            "/limit",
            1,
            EventQuery::LARGEST as u64,
            request.limit as u64,
        ));
    }
    if let (Some(from), Some(to)) = (request.from, request.to)
        && from >= to
    {
        return Err(invalid("/to", "must be later than from"));
    }
    if request.numbers.is_some_and(|(first, last)| first > last) {
        return Err(invalid("/to_number", "must not be below from_number"));
    }
    let of_counter = [
        ("/period", request.period.is_some()),
        ("/scope", !request.scope.is_empty()),
    ];
    let given = of_counter.iter().find(|(_, given)| *given);
    match given {
        Some((pointer, _)) if request.id.is_some() => {
            Err(invalid(pointer, "the id names the counter already"))
        }
        Some((pointer, _)) if request.prefix.as_ref().is_none_or(Prefix::is_whole) => Err(invalid(
            pointer,
            "needs a prefix: a counter belongs to a sequence",
        )),
        _ if request.id.is_some() && request.numbers.is_some() => {
            Err(invalid("/id", "names the number already"))
        }
        _ => Ok(()),
    }
}
