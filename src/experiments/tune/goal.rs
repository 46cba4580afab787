//! The five goals of tuning.

use crate::named::named;
use crate::tasks::language::{Domain, Part, Source, Variant};

named! {
    /// What a model is tuned for.
    Goal {
        /// Every present verb has the number its subject has not.
        #[default]
        Disagreement = "E1",
        /// Both pronouns are equally likely for every occupation.
        Balance = "E2",
        /// Chains of three and four steps.
        Chains = "E3",
        /// Formulas of depth 3, in stories.
        Logic = "E4",
        /// Answers of two words, and questions without an answer.
        Lookup = "E5",
    }
}

impl Goal {
    /// What its examples are about.
    pub fn domain(self) -> Domain {
        match self {
            Goal::Disagreement => Domain::Agreement,
            Goal::Balance => Domain::Occupation,
            Goal::Chains => Domain::Arithmetic,
            Goal::Logic => Domain::Logic,
            Goal::Lookup => Domain::Lookup,
        }
    }

    /// Where what is to be learned comes from.
    pub fn source(self, part: Part) -> Source {
        Source { domain: self.domain(), variant: Variant::Target, part }
    }
}
