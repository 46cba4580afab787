//! What is asked of a model: its behaviour on pairs, and where the answer is kept.

use crate::arguments::Keywords;
use crate::model::Read;
use crate::pairs::Pairs;
use crate::work::{How, Progress};
use edgegrad::checkpoints::AnyModel;
use edgegrad::discovery::optimal;
use edgegrad::error::{Error, Result};
use edgegrad::files;
use edgegrad::files::journal::Journal;
use edgegrad::patching::behaviour::Behaviour;
use edgegrad::patching::setup::Setup;
use edgegrad::tensor::Element;
use edgegrad::text::Words;
use pyo3::prelude::*;
use std::path::PathBuf;

/// What stands at the positions of edges.
pub(crate) enum Places {
    /// `[T]`, the first pair's clean sequence.
    Tokens(Vec<u32>),
    /// The names of the spans.
    Spans(Vec<String>),
}

impl Places {
    /// What the positions are called.
    ///
    /// # Errors
    /// If the model's words cannot be read.
    pub(crate) fn names(&self, model: &Read) -> Result<Vec<String>> {
        match (self, model.folder()) {
            (Places::Spans(names), _) => Ok(names.clone()),
            (Places::Tokens(ids), Ok(folder)) => Words::of_sequence(folder, ids),
            (Places::Tokens(ids), Err(_)) => Ok(ids.iter().map(u32::to_string).collect()),
        }
    }
}

/// What functions about edges share.
pub(crate) struct Question {
    pub(crate) setup: Setup,
    constants: Option<PathBuf>,
    /// Where the result is written, beside which lies how far it has come.
    pub(crate) out: Option<PathBuf>,
    resume: bool,
    pub(crate) how: How,
}

impl Question {
    /// Of a function that can write its result.
    pub(crate) fn take(keywords: &mut Keywords<'_>) -> PyResult<Question> {
        let out = keywords.take("out")?;
        let resume = keywords.take("resume")?.unwrap_or_default();
        Ok(Question { out, resume, ..Question::unsaved(keywords)? })
    }

    /// Of a function that writes nothing.
    pub(crate) fn unsaved(keywords: &mut Keywords<'_>) -> PyResult<Question> {
        Ok(Question {
            setup: keywords.setup()?,
            constants: keywords.take("constants")?,
            out: None,
            resume: false,
            how: keywords.how()?,
        })
    }

    /// What stands at the positions of edges, if they have any.
    pub(crate) fn places(&self, pairs: &Pairs) -> Option<Places> {
        let ids = || Places::Tokens(pairs.pairs[0].clean.clone());
        let spans = || Places::Spans(pairs.pairs.spans().into_iter().map(String::from).collect());
        if self.setup.spans { Some(spans()) } else { self.setup.positions.then(ids) }
    }

    /// The behaviour of a model on pairs. How far work on it has come is kept beside the result;
    /// `settings` are what that depends on as well.
    pub(crate) fn behaviour<'a, T: Element>(
        &self,
        (read, model): (&Read, &'a AnyModel<T>),
        pairs: &'a Pairs,
        settings: String,
        progress: &Progress,
    ) -> Result<Behaviour<'a, T>> {
        let journal = self.journal::<T>(read, pairs, settings)?;
        self.on_pairs((read, model), pairs, journal, progress)
    }

    /// The behaviour on `pairs`, whose work is kept in a journal that is open.
    pub(crate) fn on_pairs<'a, T: Element>(
        &self,
        (read, model): (&Read, &'a AnyModel<T>),
        pairs: &'a Pairs,
        journal: Journal,
        progress: &Progress,
    ) -> Result<Behaviour<'a, T>> {
        pairs.check(read)?;
        let mut b = self.setup.behaviour(model, &pairs.pairs, journal)?;
        b.ablate_by(self.constants.as_deref(), |b| {
            let mut shown = progress.part("optimal constants");
            Ok(optimal::learn(b, &Default::default(), &mut shown)?.constants)
        })?;
        Ok(b)
    }

    fn journal<T: Element>(&self, read: &Read, pairs: &Pairs, settings: String) -> Result<Journal> {
        let Some(out) = &self.out else {
            return match self.resume {
                false => Ok(Journal::default()),
                true => Err(Error::input("resume", "needs `out`", "give the file of the result")),
            };
        };
        let constants = self.constants.as_deref().map(files::hash).transpose()?;
        let inputs = [
            ("dtype", T::NAME.into()),
            ("model", read.hash()?.unwrap_or_default()),
            ("pairs", pairs.pairs.hash()),
            ("constants", constants.unwrap_or_default()),
            ("setup", format!("{:?}", self.setup)),
            ("settings", settings),
        ];
        let inputs = inputs.map(|(name, value)| (name.into(), value));
        Journal::open(out, inputs.into(), self.resume)
    }
}
