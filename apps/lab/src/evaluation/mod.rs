//! Evaluation of a backbone: frozen features, kNN, linear probe, fine-tuning, test, retrieval.

pub mod embedder;
pub mod features;
pub mod finetune;
pub mod kmeans;
pub mod knn;
pub mod labels;
pub mod probe;
pub mod representation;
pub mod retrieval;
pub mod softmax_regression;
pub mod test;
