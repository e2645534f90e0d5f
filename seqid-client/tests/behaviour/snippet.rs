use seqid_client::Client;
use seqid_core::numbering::DrawRequest;
use seqid_core::{IdempotencyKey, Numbering, Prefix};

pub(crate) async fn invoice_number(service: &str) -> Result<String, Box<dyn std::error::Error>> {
    let numbers = Client::new(service)?;
    let draw = DrawRequest::new(Prefix::new("INV")?).key(IdempotencyKey::new("order-4711")?);
    let invoice = numbers.draw(draw).await?;
    Ok(invoice.id().to_owned())
}
