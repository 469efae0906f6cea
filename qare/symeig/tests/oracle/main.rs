//! Eigenvalues and eigenvectors against faer in f64, on random and adversarial matrices.

mod accuracy;
mod check;
mod matrices;
mod range;
