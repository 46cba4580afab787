//! Settings: structs of keys that files, `--set` and options fill.
//!
//! [`settings!`] takes each key once, with what it is, its type, its default and its bounds:
//!
//! ```text
//! settings! {
//!     /// The `[task]` section.
//!     pub struct TaskConfig {
//!         /// The modulus.
//!         p: usize = 2, whole(2, MAX_P) => REQUIRED;
//!         /// Whether test rows may be train rows too.
//!         overlap: bool;
//!     }
//! }
//! ```
//!
//! From that come the struct and its `Default`; [`Keyed::read`], whose errors name a key as the
//! user wrote it; [`Keyed::check`], for structs that a program has filled; the TOML with every
//! value written out; and the table of keys in `GUIDE.md`. What relates two keys is checked by hand
//! where the struct is. [`Kind`] is implemented for the types of values.

use crate::error::{Error, Result};
use crate::named::{Named, suggest};
use serde::{Deserialize, Deserializer, Serializer};
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::path::PathBuf;
use std::str::FromStr;
use toml::{Table, Value};

/// What a key is unless given, if it has to be given.
pub(crate) const REQUIRED: &str = "required";

/// Defines a struct that is [`Keyed`]. An entry is `key: Type = default, bounds => "usual";` below
/// its documentation. The default is that of the type if absent; `usual` says what the key is
/// unless given, where that is not the default.
macro_rules! settings {
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[doc = $doc:literal])+
        $key:ident: $kind:ty $(= $default:expr)? $(, $bounds:expr)? $(=> $usual:expr)?;)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name { $($(#[doc = $doc])+ pub $key: $kind),+ }

        const _: () = {
            use $crate::experiments::settings::*;

            impl Default for $name {
                fn default() -> Self {
                    Self { $($key: settings!(@default $($default)?)),+ }
                }
            }

            impl Keyed for $name {
                const KEYS: &'static [Key] = &[$(Key {
                    name: stringify!($key),
                    doc: concat!($($doc),+),
                    expected: <$kind as Kind>::expected,
                    bounds: &[$($bounds)?],
                    usual: &[$($usual)?],
                }),+];

                fn set(&mut self, key: &str, given: &Given) -> $crate::error::Result<()> {
                    match key {
                        $(stringify!($key) => self.$key = given.read(&self.$key)?,)+
                        _ => unreachable!("{key} is no key"),
                    }
                    Ok(())
                }

                fn entries(&self) -> Entries {
                    vec![$((stringify!($key), self.$key.write())),+]
                }
            }
        };
    };
}

/// Returns what is wrong with a key unless a condition holds.
macro_rules! ensure {
    ($good:expr, $key:literal: $message:literal; $($help:tt)+) => {
        let good: bool = $good;
        if !good {
            let (key, message, help) = ($key.into(), format!($message), format!($($help)+));
            return Err($crate::experiments::settings::Broken { key, message, help });
        }
    };
}
pub(crate) use {ensure, settings};

/// What is known of a key beside its type.
pub(crate) struct Key {
    /// As files spell it.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// What a user has to write.
    pub expected: fn() -> String,
    /// Which of these values it may have, if not all.
    pub bounds: &'static [Bounds],
    /// What it is unless given, if not the default.
    pub usual: &'static [&'static str],
}

impl Key {
    /// What a user may write: "a whole number from 1 to 9".
    fn words(&self) -> String {
        let expected = (self.expected)();
        match self.bounds {
            [] | [_, _, ..] => expected,
            [Bounds::Numbers(words, _)] => format!("{expected} {words}"),
            [Bounds::Whole(least, most)] => {
                let to = match *most {
                    // Powers of two are limits of the machine, not of the reader.
                    n if n == i64::MAX as u64 => "on".into(),
                    n if n >= 1 << 15 && n.is_power_of_two() => format!("to 2^{}", n.ilog2()),
                    n => format!("to {n}"),
                };
                expected.replacen("from 0 on", &format!("from {least} {to}"), 1)
            }
        }
    }

    /// What is wrong with `value` and what to do about it, if it is out of bounds.
    fn refuse(&self, value: &Value, usual: Option<Value>) -> Option<(String, String)> {
        let key = self.name;
        match (self.bounds, value) {
            ([Bounds::Whole(least, _)], Value::Integer(n)) if (*n as u64) < *least => {
                let help = format!("write `{key} = {least}` or more");
                Some((format!("must be at least {least}, got {n}"), help))
            }
            ([Bounds::Whole(_, most)], Value::Integer(n)) if *n as u64 > *most => Some((
                format!("must be at most {most}, got {n}"),
                format!("choose a smaller {key}"),
            )),
            ([Bounds::Numbers(_, has)], value) => {
                let good = |v: &Value| v.as_float().is_some_and(|x| x.is_finite() && has(x));
                let all =
                    value.as_array().map_or_else(|| good(value), |list| list.iter().all(good));
                let words = self.words();
                let help = match usual {
                    Some(usual) => format!("write for example `{key} = {usual}`"),
                    None => format!("choose {words}, or leave it out"),
                };
                (!all).then(|| (format!("must be {words}, got {value}"), help))
            }
            _ => None,
        }
    }
}

/// Keys in the order of files, with their values.
pub(crate) type Entries = Vec<(&'static str, Option<Value>)>;

/// A key with a value that it cannot have.
#[derive(Debug)]
pub(crate) struct Broken {
    pub key: String,
    pub message: String,
    pub help: String,
}

pub(crate) type Checked<E = Broken> = std::result::Result<(), E>;

impl Broken {
    /// The error at `place`.
    pub(crate) fn at(&self, place: &str) -> Error {
        Error::input(place, &self.message, &self.help)
    }
}

/// A struct of keys; [`settings!`] implements it.
pub(crate) trait Keyed: Default {
    /// The keys in the order of files.
    const KEYS: &'static [Key];

    /// Reads one of the keys.
    fn set(&mut self, key: &str, given: &Given) -> Result<()>;

    /// Every key with its value, if it has one.
    fn entries(&self) -> Entries;

    /// Whether every value is within its bounds; `section` stands before the key that is not.
    fn check(&self, section: &str) -> Checked {
        let usual = Self::default().entries();
        for ((key, (_, value)), (_, usual)) in Self::KEYS.iter().zip(self.entries()).zip(usual) {
            if let Some((message, help)) = value.and_then(|value| key.refuse(&value, usual)) {
                return Err(Broken { key: dotted(section, key.name), message, help });
            }
        }
        Ok(())
    }

    /// The names of the keys.
    fn names() -> Vec<&'static str> {
        Self::KEYS.iter().map(|key| key.name).collect()
    }

    /// What is given for some of the keys and for no others, over `self`; as [`read`](Self::read).
    ///
    /// # Errors
    /// As `read`; or if there is no such key.
    fn with(self, place: &str, below: &str, keys: &Keys) -> Result<Self> {
        let names = Self::names();
        match keys.values().find(|given| !names.contains(&&*given.key)) {
            Some(given) => Err(unknown(&given.place, &given.key, &names)),
            None => self.read(place, below, |key| keys.get(key)),
        }
    }

    /// The values that `given` finds, over those of `self`. A file has them in the section `place`,
    /// and those that are missing would stand `below` it.
    ///
    /// # Errors
    /// If a value is of another type, or a required one is missing.
    fn read<'a>(
        mut self,
        place: &str,
        below: &str,
        given: impl Fn(&'static str) -> Option<&'a Given>,
    ) -> Result<Self> {
        let examples = self.entries();
        for (Key { name, usual, .. }, (_, example)) in Self::KEYS.iter().zip(examples) {
            match given(name) {
                Some(given) => self.set(name, given)?,
                None if usual.contains(&REQUIRED) => {
                    let example = example.map_or("...".into(), |value| value.to_string());
                    let help = format!("write for example `{name} = {example}`{below}");
                    return Err(Error::input(dotted(place, name), "is missing", help));
                }
                None => {}
            }
        }
        Ok(self)
    }

    /// The table of keys in Markdown.
    fn table() -> String {
        let mut table = "| key | value | unless given | what it is |\n".to_string();
        table += "| --- | --- | --- | --- |\n";
        for (key, (_, default)) in Self::KEYS.iter().zip(Self::default().entries()) {
            let default = default.map_or("none".into(), |value| format!("`{value}`"));
            let usual = key.usual.first().map_or(default, |usual| usual.to_string());
            let value = key.words();
            let value = value.strip_prefix("a ").unwrap_or(&value);
            let doc = key.doc.trim().replace('|', "\\|");
            let _ = writeln!(table, "| `{}` | {value} | {usual} | {doc} |", key.name);
        }
        table
    }
}

/// `key` below `section`, which may be empty.
pub(crate) fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.into() } else { format!("{section}.{key}") }
}

/// A value that the user gives for a key.
#[derive(Clone, Debug)]
pub struct Given {
    pub(crate) key: String,
    /// The key as the user wrote it.
    pub(crate) place: String,
    pub(crate) value: Value,
    /// Whether it stands on the command line, where text needs no quotes.
    pub(crate) bare: bool,
}

impl Given {
    /// A key of a file, in the section that stands at `place`.
    pub(crate) fn new(place: &str, key: &str, value: Value) -> Given {
        Given { key: key.into(), place: dotted(place, key), value, bare: false }
    }

    /// The `key=value` of an option `--set`. The value is TOML, or text without quotes.
    ///
    /// # Errors
    /// If there is no `=`.
    pub fn set(text: &str) -> Result<Given> {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            let help = "write `--set key=value`, for example `--set lr=1e-3`";
            Error::input(format_args!("--set {text}"), "has no `=`", help)
        })?;
        let (key, value) = (key.trim(), value.trim());
        let value = Value::from_str(value).unwrap_or_else(|_| value.into());
        Ok(Given { key: key.into(), place: format!("--set {key}"), value, bare: true })
    }

    /// The value of an option that is called as the key is.
    pub fn option(key: &str, value: impl Into<Value>) -> Given {
        let place = format!("--{}", key.replace('_', "-"));
        Given { key: key.into(), place, value: value.into(), bare: true }
    }

    /// The value.
    ///
    /// # Errors
    /// If it is of another type; shows `usual` as an example.
    pub(crate) fn read<T: Kind>(&self, usual: &T) -> Result<T> {
        let wrong = || match &T::names()[..] {
            [] => self.wrong(&T::expected(), &usual.example()),
            names => {
                let list = self.value.as_array().into_iter().flatten().filter_map(Value::as_str);
                let wrong = self.value.as_str().or(list.clone().find(|s| !names.contains(s)));
                let help = nearest(wrong.unwrap_or_default(), names);
                Error::input(&self.place, self.not(&T::expected()), help)
            }
        };
        T::read(&self.value, self.bare).ok_or_else(wrong)
    }

    /// The keys of this table, of which `example` is one.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn table(&self, example: &str) -> Result<Table> {
        self.value.as_table().cloned().ok_or_else(|| self.wrong("a table", example))
    }

    /// The tables of this array, of each of which `example` is one, with their places.
    ///
    /// # Errors
    /// If it is none, is empty, or holds something else.
    pub(crate) fn tables(&self, example: &str) -> Result<Vec<(String, Table)>> {
        let Some([_, ..]) = self.value.as_array().map(|list| &list[..]) else {
            return Err(self.wrong("an array of tables", &format!("[{example}]")));
        };
        let list = self.value.as_array().into_iter().flatten().enumerate();
        let one = list.map(|(i, value)| Given::new(&self.place, &i.to_string(), value.clone()));
        one.map(|given| Ok((given.place.clone(), given.table(example)?))).collect()
    }

    /// The error that this is not what is `expected`, such as `example`.
    pub(crate) fn wrong(&self, expected: &str, example: &str) -> Error {
        let help = format!("write for example `{} = {example}`", self.key);
        Error::input(&self.place, self.not(expected), help)
    }

    /// That it is not what is `expected`, with the value: short, whatever the user wrote.
    pub(crate) fn not(&self, expected: &str) -> String {
        let got = match &self.value {
            Value::Table(_) => "a table".into(),
            Value::Array(_) => "an array".into(),
            Value::String(s) if s.chars().count() > 40 => "a long string".into(),
            Value::String(s) => format!("the string {s:?}"),
            other => other.to_string(),
        };
        format!("expected {expected}, got {got}")
    }
}

/// What the user gives, by key.
pub(crate) type Keys = BTreeMap<String, Given>;

/// What the user gives, by key; of two values for one key, the last.
pub(crate) fn by_key(given: impl IntoIterator<Item = Given>) -> Keys {
    given.into_iter().map(|given| (given.key.clone(), given)).collect()
}

/// The keys of a table that stands at `place` in a file.
pub(crate) fn inside(place: &str, table: Table) -> impl Iterator<Item = Given> {
    table.into_iter().map(move |(key, value)| Given::new(place, &key, value))
}

/// The error that there is no `key` such as stands at `place`.
pub(crate) fn unknown(place: impl Display, key: &str, known: &[&str]) -> Error {
    Error::input(place, "unknown key", nearest(key, known))
}

/// `did you mean ...?`, or all there is when nothing is near.
fn nearest(got: &str, known: &[&str]) -> String {
    match suggest(got, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}; GUIDE.md lists every key", known.join(", ")),
    }
}

/// The TOML in `text`, which errors call `place`.
///
/// # Errors
/// Names line and column where it is no TOML.
pub(crate) fn parse(place: impl Display, text: &str) -> Result<Table> {
    Table::from_str(text).map_err(|e| {
        let help = "see toml.io for how TOML is written; text needs quotes";
        let before = text.get(..e.span().unwrap_or_default().start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Error::input(format_args!("{place}:{line}:{column}"), e.message(), help)
    })
}

/// Writes `title` on a line of its own, unless it is empty, and below it the keys that have a
/// value.
pub(crate) fn write_section(out: &mut String, title: &str, entries: &Entries) {
    if !title.is_empty() {
        let _ = writeln!(out, "\n{title}");
    }
    for (key, value) in entries {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {value}");
        }
    }
}

/// Every key with its value, or null, as other formats have them.
pub(crate) fn serialize<S: Keyed, T: Serializer>(settings: &S, to: T) -> Result<T::Ok, T::Error> {
    to.collect_map(settings.entries())
}

/// What [`serialize`] has written. Bounds are not checked.
pub(crate) fn deserialize<'a, S: Keyed, D: Deserializer<'a>>(from: D) -> Result<S, D::Error> {
    let entries = BTreeMap::<String, Option<Value>>::deserialize(from)?.into_iter();
    let given = entries.filter_map(|(key, value)| Some(Given::new("", &key, value?)));
    S::default().with("", "", &by_key(given)).map_err(serde::de::Error::custom)
}

/// The type of a key's value.
pub(crate) trait Kind: Sized {
    /// An example, where the default has no value.
    const EXAMPLE: &'static str;

    /// What a user has to write, such as "a number".
    fn expected() -> String;

    /// The value; `bare` text needs no quotes. None if it is of another type.
    fn read(value: &Value, bare: bool) -> Option<Self>;

    /// As TOML.
    fn write(&self) -> Option<Value>;

    /// What there is to choose from.
    fn names() -> Vec<&'static str> {
        vec![]
    }

    /// How a user may write this value.
    fn example(&self) -> String {
        self.write().map_or(Self::EXAMPLE.into(), |value| value.to_string())
    }
}

/// [`Kind`] of types of which there is nothing more to say than how to read and write them.
macro_rules! kinds {
    ($([$($generic:ident)?] $kind:ty: $expected:expr, $example:expr, $read:expr, $write:expr;)+) => {
        $(impl$(<$generic: Kind>)? Kind for $kind {
            const EXAMPLE: &'static str = $example;
            fn expected() -> String { $expected.into() }
            fn read(value: &Value, bare: bool) -> Option<Self> { $read(value, bare) }
            fn write(&self) -> Option<Value> { Some($write(self)) }
        })+
    };
}
kinds! {
    [] bool: "true or false", "true", |v: &Value, _| v.as_bool(), |x: &bool| (*x).into();
    [] f64: "a number", "1.0",
        |v: &Value, _| v.as_float().or(v.as_integer().map(|n| n as f64)), |x: &f64| (*x).into();
    [] u64: "a whole number from 0 on", "1", |v: &Value, _| natural(v), cut;
    // Sizes have limits far below this; a 32-bit machine must not wrap before they are checked.
    [] usize: "a whole number from 0 on", "1",
        |v: &Value, _| natural(v).map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        |n: &usize| cut(&(*n as u64));
    [] String: "text in quotes", "\"text\"", text, |s: &String| s.as_str().into();
    [] PathBuf: "the path of a file, text in quotes", "\"model.safetensors\"",
        |v: &Value, bare| text(v, bare).filter(|s| !s.is_empty()).map(PathBuf::from),
        |path: &PathBuf| path.to_string_lossy().into_owned().into();
    [T] [T; 2]: T::expected().replacen("a ", "two ", 1).replacen("number", "numbers", 1), "[0, 1]",
        |v: &Value, _| elements(v)?.try_into().ok(), |both: &[T; 2]| array(both);
}

impl<T: Kind> Kind for Vec<T> {
    const EXAMPLE: &'static str = "[]";

    fn expected() -> String {
        list_of(&T::expected())
    }

    fn read(value: &Value, _: bool) -> Option<Self> {
        elements(value)
    }

    fn write(&self) -> Option<Value> {
        Some(array(self))
    }

    fn names() -> Vec<&'static str> {
        T::names()
    }
}

/// What a list is of whose elements are as in `one`: "a list of numbers".
fn list_of(one: &str) -> String {
    let all =
        [("a number", "a list of numbers"), ("text", "a list of texts"), ("one of", "some of")];
    let found =
        all.iter().find_map(|(one_of, many)| Some(many.to_string() + one.strip_prefix(one_of)?));
    found.unwrap_or_else(|| format!("a list, each {one}"))
}

fn natural(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|n| u64::try_from(n).ok())
}

/// A number that was checked to fit; an unchecked one is cut off rather than wrapped.
fn cut(n: &u64) -> Value {
    Value::Integer(i64::try_from(*n).unwrap_or(i64::MAX))
}

fn text(value: &Value, bare: bool) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        // `--set name=7` has no quotes to say that 7 is text.
        other if bare && !other.is_table() && !other.is_array() => Some(other.to_string()),
        _ => None,
    }
}

fn elements<T: Kind>(value: &Value) -> Option<Vec<T>> {
    value.as_array()?.iter().map(|value| T::read(value, false)).collect()
}

fn array<T: Kind>(list: &[T]) -> Value {
    Value::Array(list.iter().filter_map(T::write).collect())
}

impl<T: Named> Kind for T {
    const EXAMPLE: &'static str = T::ALL[0].0;

    fn expected() -> String {
        format!("one of {}", Self::names().join(", "))
    }

    fn read(value: &Value, _: bool) -> Option<T> {
        value.as_str().and_then(T::from_name)
    }

    fn write(&self) -> Option<Value> {
        Some(self.name().into())
    }

    fn names() -> Vec<&'static str> {
        T::ALL.iter().map(|(name, _)| *name).collect()
    }
}

impl<T: Kind> Kind for Option<T> {
    const EXAMPLE: &'static str = T::EXAMPLE;

    fn expected() -> String {
        T::expected()
    }

    fn read(value: &Value, bare: bool) -> Option<Option<T>> {
        T::read(value, bare).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }
}

/// Which values a key may have.
#[derive(Clone, Copy)]
pub(crate) enum Bounds {
    /// Whole numbers from the first to the second.
    Whole(u64, u64),
    /// Finite numbers that have a property, with words that follow "a number". Of an array: all of
    /// its numbers.
    Numbers(&'static str, fn(f64) -> bool),
}

pub(crate) const ABOVE_0: Bounds = Bounds::Numbers("above 0", |x| x > 0.0);
pub(crate) const FROM_0: Bounds = Bounds::Numbers("from 0 on", |x| x >= 0.0);
pub(crate) const INSIDE_1: Bounds = Bounds::Numbers("between 0 and 1", |x| 0.0 < x && x < 1.0);
pub(crate) const BELOW_1: Bounds = Bounds::Numbers("in [0, 1)", |x| (0.0..1.0).contains(&x));

/// Whole numbers from `least` on.
pub(crate) const fn from(least: u64) -> Bounds {
    Bounds::Whole(least, i64::MAX as u64)
}

/// Whole numbers from `least` to `most`.
pub(crate) const fn whole(least: u64, most: usize) -> Bounds {
    Bounds::Whole(least, most as u64)
}

#[cfg(test)]
mod tests;
