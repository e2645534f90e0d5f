//! The shapes of requests and answers. Every member of an answer is always there; null says that it does not apply.
//! In a request a null is the same as an absent member, and an unknown member is refused.

mod adoption;
mod closing;
mod forecast;
mod gap;
mod number;
mod reservation;
mod void;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

pub(crate) use adoption::{AdoptBody, AdoptionAnswer};
pub(crate) use closing::{ArchiveBody, CloseBody, ClosedAnswer, DeleteBody, ReopenBody};
pub(crate) use forecast::ForecastAnswer;
pub(crate) use gap::{
    CounterSummariesAnswer, CounterSummary, GapAnswer, GapsAnswer, GapsHead, SummaryAnswer,
};
pub(crate) use number::NumberAnswer;
pub(crate) use reservation::{ConfirmBody, OpenReservationsAnswer, ReservationAnswer, VoidReservationBody};
pub(crate) use void::{VoidBody, VoidedAnswer};

use seqid_core::error::InvalidRequest;
use seqid_core::field::{FieldValues, RawValues};
use seqid_core::names::{Label, Number, Reason, Reference};
use seqid_core::numbering::{
    CounterSelector, DrawRequest, Issued, LARGEST_BATCH, Listing, Moved, ParsedId, Preview, ReserveRequest,
    Status, Warning,
};
use seqid_core::period::Period;
use seqid_core::time::{Date, Timestamp};
use seqid_core::{DefinitionSpec, Error, IdempotencyKey, Prefix, Tenant};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::problem::Problem;
use crate::request::{Caller, when};

/// An integer of a request: a JSON integer, or its decimal digits as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Integer(u64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntegerOrText;

        impl Visitor<'_> for IntegerOrText {
            type Value = Integer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer of at least 0, or its digits as a text")
            }

            fn visit_u64<E: de::Error>(self, integer: u64) -> Result<Integer, E> {
                Ok(Integer(integer))
            }

            fn visit_i64<E: de::Error>(self, integer: i64) -> Result<Integer, E> {
                let unexpected = |_| E::invalid_value(de::Unexpected::Signed(integer), &self);
                u64::try_from(integer).map(Integer).map_err(unexpected)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Integer, E> {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text);
                let integer = digits.and_then(|digits| digits.parse().ok());
                integer
                    .map(Integer)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(IntegerOrText)
    }
}

impl Integer {
    fn number(self, pointer: &'static str) -> Result<Number, Error> {
        Number::new(self.0).map_err(|error| Error::Invalid {
            pointer,
            reason: error.into(),
        })
    }

    fn count(self) -> Result<u32, Error> {
        let out_of_range = |_| Error::Invalid {
            pointer: "/count",
            reason: InvalidRequest::Range {
                min: 1,
                max: LARGEST_BATCH.into(),
                value: self.0,
            },
        };
        u32::try_from(self.0).map_err(out_of_range)
    }
}

/// An integer of an answer: a text where the sequence's numbers are larger than JSON readers keep exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figure {
    value: u64,
    as_text: bool,
}

impl Figure {
    fn new(value: impl Into<u64>, as_text: bool) -> Self {
        Self {
            value: value.into(),
            as_text,
        }
    }
}

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.as_text {
            serializer.collect_str(&self.value)
        } else {
            serializer.serialize_u64(self.value)
        }
    }
}

macro_rules! number_schema {
    ($type:ident as $name:literal, $integer:literal, $text:literal) => {
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let integer = ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
                    .minimum(Some(0))
                    .description(Some($integer));
                let text = ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some("^[0-9]{1,19}$"))
                    .description(Some($text));
                OneOfBuilder::new().item(integer).item(text).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }
        }
    };
}

number_schema!(Integer as "Integer", "A JSON integer.", "Its decimal digits.");
number_schema!(
    Figure as "Number",
    "A JSON integer.",
    "Its decimal digits: always so for a sequence whose definition sets a `max` above 2^53-1, never otherwise."
);

/// A value that is written as it is displayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown<T>(T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Values of fields as they are sent: texts, or integers that stand for their digits.
#[derive(Debug, Default)]
pub(crate) struct Values(RawValues);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts and integers")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Values, E> {
                Ok(Values::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut values = RawValues::new();
                while let Some((name, value)) = map.next_entry::<String, Option<Value>>()? {
                    let Some(Value(value)) = value else { continue };
                    if values.contains_key(&name) {
                        return Err(de::Error::custom(format_args!(
                            "{name:?} is there more than once"
                        )));
                    }
                    values.insert(name, value);
                }
                Ok(Values(values))
            }
        }

        deserializer.deserialize_any(Object)
    }
}

struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrInteger;

        impl Visitor<'_> for TextOrInteger {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an integer")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, integer: u64) -> Result<Value, E> {
                Ok(Value(integer.to_string()))
            }

            fn visit_i64<E: de::Error>(self, integer: i64) -> Result<Value, E> {
                Ok(Value(integer.to_string()))
            }
        }

        deserializer.deserialize_any(TextOrInteger)
    }
}

impl PartialSchema for Values {
    fn schema() -> RefOr<Schema> {
        let value = OneOfBuilder::new()
            .item(ObjectBuilder::new().schema_type(Type::String))
            .item(ObjectBuilder::new().schema_type(Type::Integer));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(Schema::from(value.build())))
            .description(Some(
                "Values by the name of their field. An integer stands for its digits.",
            ))
            .into()
    }
}

impl ToSchema for Values {
    fn name() -> std::borrow::Cow<'static, str> {
        "Values".into()
    }
}

/// The body of a request that draws. Flattening would let unknown members pass.
macro_rules! drawing {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident: $type:ty,)* }) => {
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$doc])*
        pub(crate) struct $name {
            /// The tenant, where the header `Seqid-Tenant` does not name it.
            #[schema(value_type = Option<String>)]
            tenant: Option<Tenant>,
            /// The sequence.
            #[schema(value_type = String, examples("INV"), max_length = 64)]
            prefix: Prefix,
            $($(#[$member_doc])* $member: $type,)*
            /// The document date, `YYYY-MM-DD`; today in the sequence's zone when absent.
            #[schema(value_type = Option<String>, format = Date)]
            date: Option<Date>,
            /// Values of the scope fields, which choose the counter.
            #[serde(default)]
            #[schema(required = false)]
            scope: Values,
            /// Values of the free fields, which are printed.
            #[serde(default)]
            #[schema(required = false)]
            fields: Values,
            /// Your key of the document, kept with its number.
            #[schema(value_type = Option<String>, max_length = 255)]
            reference: Option<Reference>,
            /// The document that this one belongs to or corrects.
            #[schema(value_type = Option<String>, max_length = 255)]
            relates_to: Option<Reference>,
            /// The program that asks, for the audit.
            #[schema(value_type = Option<String>, max_length = 255)]
            client_id: Option<Label>,
        }

        impl $name {
            /// One number, with what all draws have.
            pub(crate) fn draw(self, caller: &Caller, key: Option<IdempotencyKey>) -> Result<DrawRequest, Problem> {
                let mut request = DrawRequest::new(self.prefix);
                request.tenant = caller.tenant(self.tenant)?;
                request.date = self.date;
                request.scope = self.scope.0;
                request.fields = self.fields.0;
                request.reference = self.reference;
                request.relates_to = self.relates_to;
                request.origin = caller.origin(self.client_id);
                request.key = key;
                Ok(request)
            }
        }
    };
}

drawing! {
    /// A draw of one number.
    #[schema(example = json!({"prefix": "INV"}))]
    NextBody {}
}

drawing! {
    /// A draw of several numbers, all or none.
    #[schema(example = json!({"prefix": "INV", "count": 5}))]
    BatchBody {
        /// How many numbers: 1 to 10000.
        count: Integer,
    }
}

impl BatchBody {
    pub(crate) fn into_request(
        self,
        caller: &Caller,
        key: Option<IdempotencyKey>,
    ) -> Result<DrawRequest, Problem> {
        let count = self.count.count()?;
        Ok(self.draw(caller, key)?.count(count))
    }
}

/// How long numbers are held unless the request says otherwise: a form that is filled in.
const DEFAULT_TTL: Duration = Duration::from_secs(600);

drawing! {
    /// A draw of numbers that are held for a while.
    #[schema(example = json!({"prefix": "INV", "ttl_seconds": 600}))]
    ReserveBody {
        /// How long the numbers are held: 1 to 2592000 seconds, which is 30 days; 600 when absent.
        ttl_seconds: Option<Integer>,
        /// How many numbers, 1 to 10000, all or none; one when absent.
        count: Option<Integer>,
    }
}

impl ReserveBody {
    pub(crate) fn into_request(
        self,
        caller: &Caller,
        key: Option<IdempotencyKey>,
    ) -> Result<ReserveRequest, Problem> {
        let ttl = self
            .ttl_seconds
            .map_or(DEFAULT_TTL, |Integer(seconds)| Duration::from_secs(seconds));
        let count = self.count.map(Integer::count).transpose()?;
        let mut draw = self.draw(caller, key)?;
        draw.count = count;
        Ok(ReserveRequest::new(draw, ttl))
    }
}

/// What every answer to a draw says of the counter. Flattening costs more than it saves on this path.
macro_rules! drawn {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident: $type:ty,)* } $numbers:expr) => {
        #[derive(Debug, Serialize, ToSchema)]
        $(#[$doc])*
        pub(crate) struct $name {
            /// The sequence.
            #[schema(value_type = String, examples("INV"))]
            prefix: Shown<Prefix>,
            $($(#[$member_doc])* $member: $type,)*
            /// The distance between two numbers of the counter.
            step: Figure,
            /// The counter's period: `all`, `2026`, `2026-03`, `FY2025-26`.
            #[schema(value_type = String, examples("all"))]
            period: Shown<Period>,
            /// The period's first day; null for `all`.
            #[schema(value_type = Option<String>, format = Date, required)]
            period_start: Option<Shown<Date>>,
            /// The period's last day; null for `all`.
            #[schema(value_type = Option<String>, format = Date, required)]
            period_end: Option<Shown<Date>>,
            /// The document date.
            #[schema(value_type = String, format = Date)]
            date: Shown<Date>,
            /// The counter's scope values, normalised.
            #[schema(value_type = BTreeMap<String, String>)]
            scope: FieldValues,
            /// Raised by a reset that lets numbers repeat.
            generation: u32,
            /// The guarantee: `gapless`, `ordered` or `leased`.
            #[schema(examples("gapless"))]
            mode: &'static str,
            /// Raised when the counter's history changes hands.
            epoch: u32,
            /// The version of the definition that the counter opened with.
            definition_version: u32,
            /// Your key of the document.
            #[schema(value_type = Option<String>, required)]
            reference: Option<Shown<Reference>>,
            /// The request's name in the audit: its `X-Request-Id`, or that of the first with the same key.
            #[schema(value_type = Option<String>, required)]
            request_id: Option<Shown<Label>>,
            /// The instant of issue; of a reservation the one at which its state was reached.
            #[schema(value_type = String, format = DateTime)]
            issued_at: Shown<Timestamp>,
            /// What to look at: `near-end`, `range-ends`, `successor`, `repeats`, `unfenced`, `implicit-definition`. New ones may be
            /// added.
            warnings: Vec<&'static str>,
        }

        impl From<Issued> for $name {
            fn from(issued: Issued) -> Self {
                let numbers: fn(&mut Issued) -> ($($type,)*) = $numbers;
                let mut issued = issued;
                let ($($member,)*) = numbers(&mut issued);
                Self {
                    prefix: Shown(issued.prefix),
                    $($member,)*
                    step: Figure::new(issued.run.step, issued.numbers_as_text),
                    period: Shown(issued.period),
                    period_start: issued.period.first().map(Shown),
                    period_end: issued.period.last().map(Shown),
                    date: Shown(issued.date),
                    scope: issued.scope,
                    generation: issued.generation,
                    mode: issued.mode.as_str(),
                    epoch: issued.epoch,
                    definition_version: issued.definition_version,
                    reference: issued.reference.map(Shown),
                    request_id: issued.request_id.map(Shown),
                    issued_at: Shown(issued.issued_at),
                    warnings: words(&issued.warnings),
                }
            }
        }
    };
}

drawn! {
    /// One number that was issued.
    #[schema(as = Draw)]
    DrawAnswer {
        /// The rendered text.
        #[schema(examples("INV-001"))]
        id: String,
        /// The number.
        number: Figure,
    }
    |issued| (
        issued.ids.pop().unwrap_or_default(),
        Figure::new(issued.run.first, issued.numbers_as_text),
    )
}

drawn! {
    /// Numbers that were issued.
    #[schema(as = Batch)]
    BatchAnswer {
        /// The rendered texts, in the order of the numbers.
        #[schema(examples(json!(["INV-001", "INV-002"])))]
        ids: Vec<String>,
        /// The first number.
        first: Figure,
        /// The last number.
        last: Figure,
        /// How many.
        count: u64,
    }
    |issued| (
        std::mem::take(&mut issued.ids),
        Figure::new(issued.run.first, issued.numbers_as_text),
        Figure::new(issued.run.last(), issued.numbers_as_text),
        issued.run.count,
    )
}

drawn! {
    /// Numbers that are or were held.
    #[schema(as = ReservedNumbers)]
    ReservedNumbers {
        /// The rendered text of a single number; null for several.
        #[schema(required, examples("INV-001"))]
        id: Option<String>,
        /// The single number; null for several.
        #[schema(required)]
        number: Option<Figure>,
        /// The rendered texts, in the order of the numbers.
        #[schema(examples(json!(["INV-001"])))]
        ids: Vec<String>,
        /// The first number.
        first: Figure,
        /// The last number.
        last: Figure,
        /// How many.
        count: u64,
    }
    |issued| {
        let first = Figure::new(issued.run.first, issued.numbers_as_text);
        let single = issued.run.count == 1;
        (
            single.then(|| issued.id().to_owned()),
            single.then_some(first),
            std::mem::take(&mut issued.ids),
            first,
            Figure::new(issued.run.last(), issued.numbers_as_text),
            issued.run.count,
        )
    }
}

fn words(warnings: &[Warning]) -> Vec<&'static str> {
    warnings.iter().map(|warning| warning.as_str()).collect()
}

/// Whether numbers may be given out again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Repeats {
    /// They may not.
    #[default]
    Refused,
    /// They may, in a new generation.
    Accepted,
}

/// A reset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prefix": "INV", "new_value": 1000, "reason": "Year reset"}))]
pub(crate) struct ResetBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    pub(crate) tenant: Option<Tenant>,
    /// The sequence.
    #[schema(value_type = String, examples("INV"), max_length = 64)]
    prefix: Prefix,
    /// Values of the scope fields, which choose the counter.
    #[serde(default)]
    #[schema(required = false)]
    scope: Values,
    /// A date in the counter's period; today when neither this nor `period` is sent.
    #[schema(value_type = Option<String>, format = Date)]
    date: Option<Date>,
    /// The counter's period.
    period: Option<String>,
    /// The next number to be issued.
    new_value: Integer,
    /// Why, for the audit.
    #[schema(value_type = String, max_length = 500)]
    pub(crate) reason: Reason,
    /// Whether issued numbers may be issued again. The service must allow it.
    pub(crate) repeats: Option<Repeats>,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(crate) client_id: Option<Label>,
}

impl ResetBody {
    pub(crate) fn next(&self) -> Result<Number, Error> {
        self.new_value.number("/new_value")
    }

    pub(crate) fn repeats_accepted(&self) -> bool {
        self.repeats == Some(Repeats::Accepted)
    }

    pub(crate) fn counter(&mut self, caller: &Caller) -> Result<CounterSelector, Problem> {
        let mut counter = CounterSelector::new(self.prefix.clone());
        counter.tenant = caller.tenant(self.tenant.take())?;
        counter.scope = std::mem::take(&mut self.scope.0);
        counter.when = when(self.date, self.period.take())?;
        Ok(counter)
    }
}

/// A sync.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"prefix": "INV", "last_used": 1234, "reason": "import"}))]
pub(crate) struct SyncBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    tenant: Option<Tenant>,
    /// The sequence.
    #[schema(value_type = String, examples("INV"), max_length = 64)]
    prefix: Prefix,
    /// Values of the scope fields, which choose the counter.
    #[serde(default)]
    #[schema(required = false)]
    scope: Values,
    /// A date in the counter's period; today when neither this nor `period` is sent.
    #[schema(value_type = Option<String>, format = Date)]
    date: Option<Date>,
    /// The counter's period.
    period: Option<String>,
    /// The largest number that another system gave out. `at_least` is another name of this member.
    #[serde(alias = "at_least")]
    last_used: Integer,
    /// Why, for the audit.
    #[schema(value_type = Option<String>, max_length = 500)]
    pub(crate) reason: Option<Reason>,
    /// The program that asks, for the audit.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(crate) client_id: Option<Label>,
}

impl SyncBody {
    pub(crate) fn last_used(&self) -> Result<Number, Error> {
        self.last_used.number("/last_used")
    }

    pub(crate) fn counter(&mut self, caller: &Caller) -> Result<CounterSelector, Problem> {
        let mut counter = CounterSelector::new(self.prefix.clone());
        counter.tenant = caller.tenant(self.tenant.take())?;
        counter.scope = std::mem::take(&mut self.scope.0);
        counter.when = when(self.date, self.period.take())?;
        Ok(counter)
    }
}

/// Where a counter stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Status)]
pub(crate) struct StatusAnswer {
    /// The sequence.
    #[schema(value_type = String, examples("INV"))]
    prefix: Shown<Prefix>,
    /// The guarantee: `gapless`, `ordered` or `leased`.
    #[schema(examples("gapless"))]
    mode: &'static str,
    /// The counter's period.
    #[schema(value_type = String, examples("all"))]
    period: Shown<Period>,
    /// The period's first day; null for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_start: Option<Shown<Date>>,
    /// The period's last day; null for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_end: Option<Shown<Date>>,
    /// The counter's scope values, normalised.
    #[schema(value_type = BTreeMap<String, String>)]
    scope: FieldValues,
    /// Whether anything ever happened to the counter.
    opened: bool,
    /// The largest number that was given out in this generation; null before the first.
    #[schema(required)]
    last_number: Option<Figure>,
    /// What is issued next; null when the counter has ended.
    #[schema(required)]
    next_number: Option<Figure>,
    /// The text of that number; null when the counter has ended or the text shows what only a draw knows.
    #[schema(required)]
    next_id: Option<String>,
    /// How many numbers are left.
    remaining: Figure,
    /// The largest number that the counter may give out.
    max: Figure,
    /// Raised by a reset that lets numbers repeat.
    generation: u32,
    /// Raised when the counter's history changes hands.
    epoch: u32,
    /// The version of the definition that the counter opened with, or would.
    definition_version: u32,
    /// How many numbers are held.
    reserved: u64,
    /// How many numbers were voided, or were held until nobody wanted them and stay unused.
    voided: u64,
    /// How many events the counter's audit has.
    events: u64,
    /// How fast it is used and when it ends; null for a counter that has not opened, in lists, and after a move.
    #[schema(required)]
    forecast: Option<ForecastAnswer>,
    /// Whether the sequence was archived: it gives no numbers any more, whatever is left.
    archived: bool,
    /// What to look at: `near-end`, `successor`, `repeats`, `unfenced`, `implicit-definition`. New ones may be added.
    warnings: Vec<&'static str>,
}

impl From<Status> for StatusAnswer {
    fn from(status: Status) -> Self {
        let as_text = status.numbers_as_text;
        let figure = |number: Number| Figure::new(number, as_text);
        Self {
            prefix: Shown(status.prefix),
            mode: status.mode.as_str(),
            period: Shown(status.period),
            period_start: status.period.first().map(Shown),
            period_end: status.period.last().map(Shown),
            scope: status.scope,
            opened: status.opened,
            last_number: status.last_number.map(figure),
            next_number: status.next_number.map(figure),
            next_id: status.next_id,
            remaining: Figure::new(status.remaining, as_text),
            max: figure(status.max),
            generation: status.generation,
            epoch: status.epoch,
            definition_version: status.definition_version,
            reserved: status.reserved,
            voided: status.voided,
            events: status.events,
            forecast: status.forecast.map(ForecastAnswer::from),
            archived: status.archived,
            warnings: words(&status.warnings),
        }
    }
}

/// Where a counter was moved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Moved)]
pub(crate) struct MovedAnswer {
    /// What would have been issued next before; null when the counter had ended.
    #[schema(required)]
    old_next_number: Option<Figure>,
    #[serde(flatten)]
    status: StatusAnswer,
}

impl From<Moved> for MovedAnswer {
    fn from(moved: Moved) -> Self {
        let as_text = moved.status.numbers_as_text;
        Self {
            old_next_number: moved.old_next_number.map(|number| Figure::new(number, as_text)),
            status: moved.status.into(),
        }
    }
}

/// The counters of a sequence.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counters)]
pub(crate) struct CountersAnswer {
    /// This part of the list.
    items: Vec<StatusAnswer>,
    /// What to send as `after` for the next part; null at the end.
    #[schema(required)]
    next: Option<String>,
}

impl From<Listing<Status>> for CountersAnswer {
    fn from(listing: Listing<Status>) -> Self {
        Self {
            items: listing.items.into_iter().map(StatusAnswer::from).collect(),
            next: listing.next,
        }
    }
}

/// What would an id look like?
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"definition": {"format": "INV-{yyyy}-{seq:5}", "reset": "year"}, "number": 42, "date": "2027-01-01"}))]
pub(crate) struct PreviewBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    pub(crate) tenant: Option<Tenant>,
    /// The sequence. With a `definition` it may be absent; `{prefix}` then prints `PREFIX`.
    #[schema(value_type = Option<String>, examples("INV"), max_length = 64)]
    pub(crate) prefix: Option<Prefix>,
    /// A definition that need not be saved; the sequence's own when absent.
    #[schema(value_type = Option<crate::sequences::DefinitionDocument>)]
    pub(crate) definition: Option<DefinitionSpec>,
    /// The number; the next one when absent.
    number: Option<Integer>,
    /// The document date; today when absent.
    #[schema(value_type = Option<String>, format = Date)]
    pub(crate) date: Option<Date>,
    /// Values of the scope fields.
    #[serde(default)]
    #[schema(required = false)]
    scope: Values,
    /// Values of the free fields.
    #[serde(default)]
    #[schema(required = false)]
    fields: Values,
}

impl PreviewBody {
    pub(crate) fn number(&self) -> Result<Option<Number>, Error> {
        self.number.map(|number| number.number("/number")).transpose()
    }

    pub(crate) fn take_values(&mut self) -> (RawValues, RawValues) {
        (
            std::mem::take(&mut self.scope.0),
            std::mem::take(&mut self.fields.0),
        )
    }
}

/// What an id would look like.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preview)]
pub(crate) struct PreviewAnswer {
    /// The sequence.
    #[schema(value_type = String, examples("INV"))]
    prefix: Shown<Prefix>,
    /// The text; null when the counter has ended.
    #[schema(required, examples("INV-2027-00042"))]
    id: Option<String>,
    /// The number; null when the counter has ended.
    #[schema(required)]
    number: Option<Figure>,
    /// The counter's period.
    #[schema(value_type = String, examples("2027"))]
    period: Shown<Period>,
    /// The period's first day; null for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_start: Option<Shown<Date>>,
    /// The period's last day; null for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_end: Option<Shown<Date>>,
    /// The document date.
    #[schema(value_type = String, format = Date)]
    date: Shown<Date>,
    /// The counter's scope values, normalised.
    #[schema(value_type = BTreeMap<String, String>)]
    scope: FieldValues,
}

impl From<Preview> for PreviewAnswer {
    fn from(preview: Preview) -> Self {
        Self {
            prefix: Shown(preview.prefix),
            id: preview.id,
            number: preview
                .number
                .map(|number| Figure::new(number, preview.numbers_as_text)),
            period: Shown(preview.period),
            period_start: preview.period.first().map(Shown),
            period_end: preview.period.last().map(Shown),
            date: Shown(preview.date),
            scope: preview.scope,
        }
    }
}

/// An id to be read back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"id": "INV-001"}))]
pub(crate) struct ParseBody {
    /// The tenant, where the header `Seqid-Tenant` does not name it.
    #[schema(value_type = Option<String>)]
    pub(crate) tenant: Option<Tenant>,
    /// The sequence; every sequence of the tenant is tried when absent.
    #[schema(value_type = Option<String>, examples("INV"), max_length = 64)]
    pub(crate) prefix: Option<Prefix>,
    /// The rendered text.
    pub(crate) id: String,
}

/// What an id says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ParsedId)]
pub(crate) struct ParsedAnswer {
    /// The sequence that it belongs to.
    #[schema(value_type = String, examples("INV"))]
    prefix: Shown<Prefix>,
    /// The number.
    number: Figure,
    /// The counter's period; null when the text does not tell it.
    #[schema(value_type = Option<String>, required, examples("2026"))]
    period: Option<Shown<Period>>,
    /// The period's first day; null when it is not told, and for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_start: Option<Shown<Date>>,
    /// The period's last day; null when it is not told, and for `all`.
    #[schema(value_type = Option<String>, format = Date, required)]
    period_end: Option<Shown<Date>>,
    /// The counter's scope values.
    scope: BTreeMap<String, String>,
    /// The values of free fields that it shows.
    fields: BTreeMap<String, String>,
    /// The version of the definition that reads it.
    definition_version: u32,
}

impl From<ParsedId> for ParsedAnswer {
    fn from(parsed: ParsedId) -> Self {
        Self {
            prefix: Shown(parsed.prefix),
            number: Figure::new(parsed.number, parsed.numbers_as_text),
            period: parsed.period.map(Shown),
            period_start: parsed.period.and_then(|period| period.first()).map(Shown),
            period_end: parsed.period.and_then(|period| period.last()).map(Shown),
            scope: parsed.scope,
            fields: parsed.fields,
            definition_version: parsed.definition_version,
        }
    }
}
