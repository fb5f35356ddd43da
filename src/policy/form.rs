//! Values that may be written in more than one form: durations, ports, credentials, steps.
//!
//! Takes scalars and lists; returns typed values, or says which forms there are.

use super::file::{Bits, Credentials, Listed, Port, Step};
use crate::catalog::condition::Written;
use serde::Deserialize;
use std::time::Duration;

/// Reads `45s`, `15m`, `24h`, `500ms` or `2d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

pub(super) fn duration<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("`{text}` is not a duration such as 45s, 15m or 24h"))
    })
}

struct Forms(&'static str);

impl<'de> serde::de::Visitor<'de> for Forms {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
    fn visit_str<E>(self, word: &str) -> Result<Vec<String>, E> {
        Ok(vec![word.to_owned()])
    }
    fn visit_i64<E>(self, number: i64) -> Result<Vec<String>, E> {
        Ok(vec![number.to_string()])
    }
    fn visit_f64<E>(self, number: f64) -> Result<Vec<String>, E> {
        Ok(vec![number.to_string()])
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(
        self,
        mut access: A,
    ) -> Result<Vec<String>, A::Error> {
        // The empty first word tells a list from a single word.
        let mut words = vec![String::new()];
        while let Some(word) = access.next_element()? {
            words.push(word);
        }
        Ok(words)
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Decimal digits by hand: no rounding of a binary fraction decides a verdict.
        let words = deserializer.deserialize_any(Forms("a number of bits such as 12 or 12.5"))?;
        let read = |text: &str| {
            let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(whole) || !digits(part) || part.len() > 3 {
                return None;
            }
            let millibits = format!("{part:0<3}").parse::<u32>().ok()?;
            whole.parse::<u32>().ok()?.checked_mul(1_000)?.checked_add(millibits)
        };
        let millibits = words.first().and_then(|text| read(text));
        millibits.filter(|millibits| (1_000..=64_000).contains(millibits)).map(Self).ok_or_else(
            || serde::de::Error::custom("write a number of bits from 1 to 64, such as 12 or 12.5"),
        )
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = deserializer.deserialize_any(Forms("a port such as 443 or 80/http"))?;
        let error = || serde::de::Error::custom("a port is a number, or `80/http` for plain HTTP");
        let [word] = words.as_slice() else { return Err(error()) };
        let (number, cleartext) = match word.split_once('/') {
            Some((number, "http")) => (number, true),
            Some(_) => return Err(error()),
            None => (word.as_str(), false),
        };
        match number.parse() {
            Ok(0) | Err(_) => Err(error()),
            Ok(number) => Ok(Self { number, cleartext }),
        }
    }
}

impl<'de> Deserialize<'de> for Credentials {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const FORM: &str = "`none`, `required`, `first_seen`, `any`, or a list of names";
        let mut words = deserializer.deserialize_any(Forms(FORM))?;
        if words.first().is_some_and(String::is_empty) {
            words.remove(0);
            return Ok(Self::List(words));
        }
        match words.first().map(String::as_str) {
            Some("none") => Ok(Self::None),
            Some("required") => Ok(Self::Required),
            Some("first_seen") => Ok(Self::FirstSeen),
            Some("any") => Ok(Self::Any),
            _ => Err(serde::de::Error::custom(format!("write {FORM}"))),
        }
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> serde::de::Visitor<'de> for Entry {
            type Value = Listed;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an effect, an operation, or `{ operation: …, when: … }`")
            }
            fn visit_str<E>(self, word: &str) -> Result<Listed, E> {
                Ok(Listed { word: word.to_owned(), when: Vec::new() })
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Listed, A::Error> {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Conditional {
                    operation: String,
                    when: Vec<Written>,
                }
                let read = serde::de::value::MapAccessDeserializer::new(map);
                let Conditional { operation, when } = Conditional::deserialize(read)?;
                Ok(Listed { word: operation, when })
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut words = deserializer.deserialize_any(Forms("a stage, or a list of stages"))?;
        words.retain(|word| !word.is_empty());
        Ok(Self(words))
    }
}
