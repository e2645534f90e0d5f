use seqid_core::numbering::Forecast;
use seqid_core::time::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shown;

/// How fast a counter is used, and when it ends if that goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Forecast)]
pub(crate) struct ForecastAnswer {
    /// How many numbers were issued or reserved in the last 24 hours.
    last_day: u64,
    /// In the last 7 days.
    last_week: u64,
    /// In the last 30 days.
    last_month: u64,
    /// When no number will be left, at the higher rate of the last week and month; null when nothing was drawn, or when
    /// the counter's period ends before that.
    #[schema(value_type = Option<String>, format = Date, required)]
    ends_on: Option<Shown<Date>>,
}

impl From<Forecast> for ForecastAnswer {
    fn from(forecast: Forecast) -> Self {
        Self {
            last_day: forecast.last_day,
            last_week: forecast.last_week,
            last_month: forecast.last_month,
            ends_on: forecast.ends_on.map(Shown),
        }
    }
}
