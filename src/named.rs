//! Enumerations whose values have names in files and on the command line, and the known name that
//! an unknown one was probably meant to be.
#![forbid(unsafe_code)]

/// An enumeration whose values have names.
pub trait Named: Copy + PartialEq + 'static {
    /// Every value with its name.
    const ALL: &'static [(&'static str, Self)];

    /// What this value means, as its documentation says in the first paragraph.
    fn about(self) -> String;

    /// The name of this value.
    fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, value)| *value == self);
        named.map(|(name, _)| *name).expect("every value is in ALL")
    }

    /// The value of this name.
    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// The name of `known` that `given` was probably meant to be: the most alike, if their Jaro-Winkler
/// similarity is above 0.8. Below it names share a few letters by chance.
///
/// ```
/// use edgegrad::named::suggest;
/// assert_eq!(suggest("lrr", ["steps", "lr"]), Some("lr"));
/// assert_eq!(suggest("momentum", ["steps", "lr"]), None);
/// ```
pub fn suggest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // No slip of a name is as long as this, and comparing a megabyte takes seconds.
    if given.len() > 256 {
        return None;
    }
    let alike = |known| (strsim::jaro_winkler(given, known), known);
    let nearest = known.into_iter().map(alike).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.filter(|(alike, _)| *alike > 0.8).map(|(_, known)| known)
}

/// `1 pair`, `8 pairs`: a number of things whose plural ends in s.
///
/// ```
/// use edgegrad::named::counted;
/// assert_eq!(counted(1, "pair") + " and " + &counted(0, "edge"), "1 pair and 0 edges");
/// ```
pub fn counted(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// Defines an enumeration with the names of its values; the one marked `#[default]` is the default.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$($value_doc:tt)*])* $value:ident = $text:literal),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$($value_doc)*])* $value),+ }
        impl $crate::named::Named for $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($text, $name::$value)),+];

            fn about(self) -> String {
                match self {
                    $($name::$value => {
                        $crate::named::paragraph(&[$(named!(@doc $($value_doc)*)),*])
                    }),+
                }
            }
        }
    };
    (@doc doc = $text:literal) => { $text };
    (@doc $($other:tt)*) => { "" };
}
pub(crate) use named;

/// The first paragraph of documentation, on one line; other attributes are empty lines before it.
pub(crate) fn paragraph(lines: &[&str]) -> String {
    let lines = lines.iter().map(|line| line.trim()).skip_while(|line| line.is_empty());
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}
