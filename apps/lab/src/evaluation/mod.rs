//! Evaluation of a backbone: frozen features, kNN, linear probe, fine-tuning, test.

pub mod features;
pub mod finetune;
pub mod knn;
pub mod labels;
pub mod probe;
pub mod softmax_regression;
pub mod test;
