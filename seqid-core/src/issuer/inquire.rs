use std::collections::BTreeMap;
use std::sync::Arc;

use super::Issuer;
use super::sequences::{Asked, Loaded};
use super::shift::ahead;
use crate::counter::{CounterKey, SequenceKey};
use crate::error::{Error, InvalidRequest};
use crate::field::FieldValues;
use crate::line::{Line, LineParts, Version};
use crate::names::{Number, Prefix, Tenant};
use crate::numbering::{ParsedId, Preview, PreviewRequest};
use crate::template::FormatTemplate;

/// How many sequences are read at a time.
const PAGE: usize = 200;

impl Issuer {
    pub(super) async fn preview_id(&self, request: PreviewRequest) -> Result<Preview, Error> {
        let key = SequenceKey::new(request.tenant.clone(), request.prefix.clone());
        match &request.definition {
            Some(spec) => {
                let definition = self.compile(&key, spec.clone())?;
                let line = self.unsaved_line(
                    &key,
                    Version {
                        number: 1,
                        definition,
                    },
                    &request,
                )?;
                let number = request.number.unwrap_or(line.definition().first_number());
                preview(&line, Some(number), self.clock.now())
            }
            None => {
                let sequence = self.require(&key).await?;
                self.preview_saved(&sequence, &request).await
            }
        }
    }

    async fn preview_saved(
        &self,
        sequence: &Arc<Loaded>,
        request: &PreviewRequest,
    ) -> Result<Preview, Error> {
        let date = request
            .date
            .unwrap_or_else(|| self.today(sequence.head().definition.zone()));
        let asked = Asked {
            scope: &request.scope,
            fields: &request.fields,
            date,
        };
        let mut line = self.line(sequence, asked)?;
        let state = self.store.counter(line.key()).await?;
        if let Some(opened) = state
            .as_ref()
            .map(|state| state.version)
            .filter(|opened| *opened != line.opened())
        {
            let key = sequence.key.clone();
            let sequence = self.reload(&key).await?.unwrap_or_else(|| Arc::clone(sequence));
            line = self.make_line(&sequence, asked, opened)?;
        }
        let number = match request.number {
            Some(number) => Some(number),
            None => match self.lowest_free(&line, state.as_ref()).await? {
                Some(free) => Some(free),
                None => {
                    let next = state.map_or(line.definition().start().get(), |state| state.next);
                    ahead(&line, next, self.day(&line)).0
                }
            },
        };
        preview(&line, number, self.clock.now())
    }

    fn unsaved_line(
        &self,
        key: &SequenceKey,
        version: Version,
        request: &PreviewRequest,
    ) -> Result<Line, Error> {
        let definition = &version.definition;
        let date = request.date.unwrap_or_else(|| self.today(definition.zone()));
        let period = definition.period(date)?;
        let (scope, fields) = definition.resolve(&request.scope, &request.fields)?;
        let key = CounterKey::new(key.clone(), scope, period);
        Ok(Line::new(LineParts {
            key,
            head: version.clone(),
            opened: version,
            date,
            fields,
        })?)
    }

    pub(super) async fn parse_id(
        &self,
        tenant: Tenant,
        prefix: Option<Prefix>,
        id: String,
    ) -> Result<ParsedId, Error> {
        if let Some(prefix) = prefix {
            let sequence = self.require(&SequenceKey::new(tenant, prefix)).await?;
            return parsed(&sequence, &id).ok_or_else(|| Error::IdNotRecognised {
                of: format!("sequence {}", sequence.key.prefix),
                id,
            });
        }
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.sequences(&tenant, after.as_deref(), PAGE).await?;
            for record in &page {
                let Some(sequence) = self.find(&record.key).await? else {
                    continue;
                };
                found.extend(parsed(&sequence, &id));
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.prefix.to_string()),
                _ => return one_of(found, id),
            }
        }
    }
}

fn one_of(mut found: Vec<ParsedId>, id: String) -> Result<ParsedId, Error> {
    match found.len() {
        0 => Err(Error::IdNotRecognised {
            id,
            of: "any sequence of this tenant".into(),
        }),
        1 => Ok(found.remove(0)),
        _ => Err(Error::AmbiguousId {
            id,
            prefixes: found
                .into_iter()
                .map(|parsed| parsed.prefix.to_string())
                .collect(),
        }),
    }
}

/// The newest version that reads the id.
fn parsed(sequence: &Loaded, id: &str) -> Option<ParsedId> {
    sequence.newest_first().find_map(|version| {
        let parsed = version.definition.template().parse(id)?;
        Some(ParsedId {
            prefix: sequence.key.prefix.clone(),
            number: parsed.number,
            period: parsed.period,
            scope: owned(&parsed.scope),
            fields: owned(&parsed.fields),
            definition_version: version.number,
            numbers_as_text: version.definition.numbers_as_text(),
        })
    })
}

fn owned(values: &FieldValues) -> BTreeMap<String, String> {
    values
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn preview(line: &Line, number: Option<Number>, now: crate::time::Timestamp) -> Result<Preview, Error> {
    if let Some(number) = number.filter(|number| *number > line.max()) {
        return Err(Error::Invalid {
            pointer: "/number",
            reason: InvalidRequest::Range {
                min: 0,
                max: line.max().get(),
                value: number.get(),
            },
        });
    }
    let sequence = line.key().sequence();
    Ok(Preview {
        prefix: sequence.prefix.clone(),
        id: number.map(|number| line.id(number, now)).transpose()?,
        number,
        period: *line.key().period(),
        date: line.date(),
        scope: line.key().scope().clone(),
        numbers_as_text: line.definition().numbers_as_text(),
    })
}
