use worldstep_env::scene::SEMANTIC_CLASSES;
use worldstep_env::{Instance, Texture};

use super::color_name;
use crate::annotate::bodies::{Bodies, is_of_class};
use crate::clips::Trajectory;

/// Two things of the same kind differ in size if one is so many times as large.
const SIZE_RATIO: f64 = 1.25;

/// What the things of a clip are called, by position in the scene.
pub struct Names {
    ids: Vec<u16>,
    nouns: Vec<String>,
    full: Vec<String>,
}

impl Names {
    /// Names as short as they can be while no two are the same.
    pub fn new(trajectory: &Trajectory) -> Self {
        let instances = &trajectory.scene.instances;
        let drawn_in_full = trajectory.scene.light.is_some();
        let nouns: Vec<String> = instances.iter().map(noun).collect();
        let plain: Vec<String> = instances
            .iter()
            .zip(&nouns)
            .map(|(instance, noun)| join(&[look(instance, drawn_in_full).as_str(), noun]))
            .collect();
        let reach = Bodies::new(trajectory).reach;
        let full = (0..plain.len()).map(|index| distinguish(&plain, &reach, index)).collect();
        Self { ids: instances.iter().map(|instance| instance.id).collect(), nouns, full }
    }

    /// For instance `the red ball`.
    pub fn of(&self, id: u16) -> String {
        let index = self.ids.iter().position(|known| *known == id);
        index.map_or_else(|| "something".to_owned(), |index| format!("the {}", self.full[index]))
    }

    /// What several things are called together, for instance `three blocks`.
    pub fn of_several(&self, ids: &[u16]) -> String {
        let noun = |id: &u16| self.ids.iter().position(|known| known == id).map(|index| &self.nouns[index]);
        let first = ids.first().and_then(noun);
        let same = ids.iter().all(|id| noun(id) == first);
        let plural = first.filter(|_| same).map_or_else(|| "things".to_owned(), |noun| plural(noun));
        format!("{} {plural}", number(ids.len()))
    }
}

/// Names that say what a thing is for and not what it is.
const PARTS: [&str; 6] = ["other", "hero", "object", "body", "mover", "target"];

/// Whether a word tells one of several like things from the others: a number, a letter, a side.
fn is_numbering(word: &str) -> bool {
    const SIDES: [&str; 8] = ["left", "right", "near", "far", "front", "back", "top", "bottom"];
    word.len() == 1 || word.chars().all(|c| c.is_ascii_digit()) || SIDES.contains(&word)
}

/// The name without numbering.
fn noun(instance: &Instance) -> String {
    if is_of_class(instance, &["ground"]) {
        return "ground".to_owned();
    }
    let words = instance.name.replace(['_', '-'], " ");
    let mut words: Vec<&str> = words.split_whitespace().collect();
    while words.len() > 1 && words.last().is_some_and(|last| is_numbering(last)) {
        words.pop();
    }
    let bare = words.join(" ");
    let bare = bare.trim_end_matches(|c: char| c.is_ascii_digit() || "[]#.".contains(c));
    if bare.is_empty() || PARTS.contains(&bare) {
        // A part in a play is no kind of thing; its class is.
        let class = SEMANTIC_CLASSES.get(usize::from(instance.semantic)).copied();
        return class.filter(|class| *class != "background").unwrap_or("thing").replace('_', " ");
    }
    bare.to_owned()
}

/// Pattern and colour; the ground goes without.
fn look(instance: &Instance, drawn_in_full: bool) -> String {
    if is_of_class(instance, &["ground"]) {
        return String::new();
    }
    let color = color_name(instance.color_linear);
    if !drawn_in_full {
        return color.to_owned();
    }
    match instance.surface.texture {
        Texture::Plain | Texture::Noise { .. } => color.to_owned(),
        Texture::Checker { .. } => format!("checkered {color}"),
        Texture::Stripes { .. } => format!("striped {color}"),
        Texture::Dots { .. } => format!("dotted {color}"),
        // What a picture looks like, nobody here knows.
        Texture::Image { .. } => String::new(),
    }
}

/// `plain[index]`, with its size or its place in the order if another thing is called the same.
fn distinguish(plain: &[String], reach: &[f64], index: usize) -> String {
    let name = &plain[index];
    let same: Vec<usize> = (0..plain.len()).filter(|other| plain[*other] == *name).collect();
    match same[..] {
        [_] => name.clone(),
        [a, b] if reach[a].max(reach[b]) > SIZE_RATIO * reach[a].min(reach[b]) => {
            let other = if index == a { b } else { a };
            join(&[if reach[index] > reach[other] { "large" } else { "small" }, name])
        }
        _ => {
            let place = same.iter().filter(|other| **other < index).count();
            join(&[&ordinal(place + 1), name])
        }
    }
}

fn join(words: &[&str]) -> String {
    words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

const NUMBERS: [&str; 13] =
    ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const ORDINALS: [&str; 13] = [
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
];

/// A count in words.
pub fn number(count: usize) -> String {
    NUMBERS.get(count).map_or_else(|| count.to_string(), |word| (*word).to_owned())
}

fn ordinal(place: usize) -> String {
    ORDINALS.get(place).map_or_else(|| format!("{place}th"), |word| (*word).to_owned())
}

fn plural(noun: &str) -> String {
    let consonant_y = noun.ends_with('y') && !["ay", "ey", "oy"].iter().any(|end| noun.ends_with(end));
    if consonant_y {
        format!("{}ies", &noun[..noun.len() - 1])
    } else if ["s", "x", "ch", "sh", "mino"].iter().any(|end| noun.ends_with(end)) {
        format!("{noun}es")
    } else {
        format!("{noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_and_numbers_are_english() {
        let plurals = ["ball", "box", "domino", "tray", "body"].map(plural);
        assert_eq!(plurals, ["balls", "boxes", "dominoes", "trays", "bodies"]);
        assert_eq!([number(3), number(13)], ["three", "13"]);
    }
}
