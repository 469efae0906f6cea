//! Losses with labels: against pytorch-metric-learning, a literal oracle and finite differences, and of batches at the edge.

mod cases;
mod degenerate;
pub mod golden;
mod objective;
mod on_host;
mod oracle;
mod values;
