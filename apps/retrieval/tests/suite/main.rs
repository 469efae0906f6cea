//! Figures of retrieval against pytorch-metric-learning, cases by hand, and a literal computation.

mod by_hand;
mod golden;
mod literal;
mod wrong_calls;
