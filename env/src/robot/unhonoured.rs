//! What a file asks for and nobody does: one line each, so that nobody is surprised.

use roxmltree::{Document, Node};

/// Elements of MJCF that mean something and are not done, with what is the matter.
const MJCF_ELEMENTS: [(&str, &str); 13] = [
    ("spatial", "spatial tendons"),
    ("flexcomp", "deformable bodies"),
    ("flex", "deformable bodies"),
    ("skin", "skins"),
    ("composite", "composite bodies"),
    ("plugin", "plugins"),
    ("muscle", "muscles"),
    ("adhesion", "adhesion"),
    ("cylinder", "pneumatic cylinders"),
    ("intvelocity", "integrated-velocity servos"),
    ("exclude", "excluded pairs of bodies (links that a joint connects never touch each other)"),
    ("pair", "explicit contact pairs"),
    ("replicate", "replicated elements"),
];

/// Attributes of MJCF that change the dynamics and are not done: element, attribute, the value that means nothing.
const MJCF_ATTRIBUTES: [(&str, &str, &str); 12] = [
    ("option", "integrator", "implicitfast"),
    ("option", "cone", "pyramidal"),
    ("option", "density", "0"),
    ("option", "viscosity", "0"),
    ("option", "wind", "0 0 0"),
    ("option", "timestep", ""),
    ("geom", "solref", ""),
    ("geom", "solimp", ""),
    ("geom", "margin", "0"),
    ("geom", "condim", "3"),
    ("joint", "actuatorfrcrange", ""),
    ("joint", "margin", "0"),
];

/// Elements of URDF and its dialects that are not done.
const URDF_ELEMENTS: [(&str, &str); 4] = [
    ("safety_controller", "safety controllers"),
    ("calibration", "calibration"),
    ("transmission", "transmissions (every joint is driven directly)"),
    ("gazebo", "Gazebo's extensions"),
];

pub(super) fn of_mjcf(document: &Document<'_>) -> Vec<String> {
    let mut warnings = of_elements(document, &MJCF_ELEMENTS);
    for (element, attribute, neutral) in MJCF_ATTRIBUTES {
        let asks = |node: &Node<'_, '_>| {
            node.has_tag_name(element)
                && node.attribute(attribute).is_some_and(|value| value.trim() != neutral)
        };
        let count = document.descendants().filter(asks).count();
        if count > 0 {
            warnings.push(format!("<{element} {attribute}=…> ({}) is not done", times(count)));
        }
    }
    warnings
}

pub(super) fn of_urdf(document: &Document<'_>) -> Vec<String> {
    let mut warnings = of_elements(document, &URDF_ELEMENTS);
    for kind in ["planar", "floating"] {
        let asks = |node: &Node<'_, '_>| node.has_tag_name("joint") && node.attribute("type") == Some(kind);
        let count = document.descendants().filter(asks).count();
        if count > 0 {
            warnings.push(format!("joints of type {kind} ({}) have no actuator", times(count)));
        }
    }
    warnings
}

fn of_elements(document: &Document<'_>, elements: &[(&str, &str)]) -> Vec<String> {
    let counted = elements.iter().map(|(name, what)| {
        // `<cylinder>` and `<plugin>` mean other things elsewhere: a shape in URDF, a comment's child in none.
        let count = document.descendants().filter(|node| node.has_tag_name(*name)).count();
        (name, what, count)
    });
    counted
        .filter(|(_, _, count)| *count > 0)
        .map(|(name, what, count)| format!("<{name}> ({}): {what} are not done", times(count)))
        .collect()
}

fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
