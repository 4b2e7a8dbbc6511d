use std::fmt::Debug;

use worldstep_env::dataset::DatasetInfo;

/// What differs between two datasets that should be of one kind, `found` and what was `asked` for; `None` if nothing
/// does.
pub fn difference(found: &DatasetInfo, asked: &DatasetInfo) -> Option<String> {
    let mut told = Vec::new();
    let ids = |info: &DatasetInfo| info.scenarios.iter().map(|s| s.id.clone()).collect::<Vec<_>>();
    compare(&mut told, "scenario", &ids(found), &ids(asked));
    compare(&mut told, "seed", &found.seed, &asked.seed);
    compare(&mut told, "frame size", &found.frame_size, &asked.frame_size);
    compare(&mut told, "channels", &found.channels, &asked.channels);
    compare(&mut told, "cameras", &found.cameras, &asked.cameras);
    for name in found.settings.keys().chain(asked.settings.keys()) {
        compare(&mut told, name, &found.settings.get(name), &asked.settings.get(name));
    }
    compare(&mut told, "shard", &found.shard, &asked.shard);
    compare(&mut told, "graphics driver", &found.driver, &asked.driver);
    compare(&mut told, "writing version", &found.writer, &asked.writer);
    if told.is_empty() && found != asked {
        told.push("the scenario's description differs".to_owned());
    }
    told.dedup();
    (!told.is_empty()).then(|| told.join("; "))
}

fn compare<T: PartialEq + Debug>(told: &mut Vec<String>, name: &str, found: &T, asked: &T) {
    if found != asked {
        told.push(format!("its {name} is {found:?}, asked for {asked:?}"));
    }
}
