//! The Python package `edgegrad`: a file a concept, each a class or a function of the package over
//! what the library has. `edgegrad/_edgegrad.pyi` has their types and their documentation.
//!
//! Nothing is computed here: functions translate arguments, call what the command line calls, and
//! translate results. Work runs [without the interpreter](work), whatever it is.

mod activations;
mod arguments;
mod attribute;
mod circuit;
mod discover;
mod edge_file;
mod edges;
mod errors;
mod evaluate;
mod interactions;
mod model;
mod pairs;
mod question;
mod report;
mod scores;
mod tape;
mod tokens;
mod train;
mod tune;
mod warnings;
mod work;

use pyo3::pymodule;

#[pymodule]
mod _edgegrad {
    #[pymodule_export]
    use super::attribute::attribute;
    #[pymodule_export]
    use super::circuit::Circuit;
    #[pymodule_export]
    use super::discover::discover;
    #[pymodule_export]
    use super::evaluate::evaluate;
    #[pymodule_export]
    use super::interactions::{Interactions, interactions};
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::pairs::Pairs;
    #[pymodule_export]
    use super::report::{Report, report};
    #[pymodule_export]
    use super::scores::Scores;
    #[pymodule_export]
    use super::tape::{Tape, Var};
    #[pymodule_export]
    use super::train::train;
    #[pymodule_export]
    use super::tune::tune;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::warnings::listen();
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::errors::add(module)
    }
}
