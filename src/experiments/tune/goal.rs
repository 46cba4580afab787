//! The goals of tuning: five of generated language, and somebody's own.

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
        /// The answers of pairs in a file: of `tune --pairs` alone.
        Own = "own",
    }
}

impl Goal {
    /// What its generated examples are about; none of pairs in a file.
    pub fn domain(self) -> Option<Domain> {
        match self {
            Goal::Disagreement => Some(Domain::Agreement),
            Goal::Balance => Some(Domain::Occupation),
            Goal::Chains => Some(Domain::Arithmetic),
            Goal::Logic => Some(Domain::Logic),
            Goal::Lookup => Some(Domain::Lookup),
            Goal::Own => None,
        }
    }

    /// Where what is to be learned is generated.
    ///
    /// # Panics
    /// If it is not generated.
    #[track_caller]
    pub fn source(self, part: Part) -> Source {
        let domain = self.domain().expect("a goal of generated language");
        Source { domain, variant: Variant::Target, part }
    }
}
