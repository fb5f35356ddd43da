//! Serialised objects: found within bounds, and taken out so that JSON stays JSON and has none.

use holdgate::inspect::serialized::{Shape, objects, stripped};
use serde::de::IgnoredAny;

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// An answer.
pub fn serialized(data: &[u8]) {
    let Ok(found) = objects(data) else { return };
    let mut last = 0;
    for object in &found {
        let place = &object.place;
        assert!(last <= place.start && place.start < place.end && place.end <= data.len());
        last = place.start;
    }
    let Ok(left) = stripped(data, &found, Shape::Secret) else { return };
    assert!(!is_json(data) || is_json(&left), "what is left of JSON is none");
    if found.iter().all(|object| object.shape != Shape::Secret) {
        assert_eq!(left, data, "nothing was taken out, and something changed");
    }
}
