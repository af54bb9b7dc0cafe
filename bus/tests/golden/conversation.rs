//! The conversation that `docs/protocol.md` shows.

use ostler_bus::hub::HubStats;

use super::*;

/// The statistics printed on the protocol page have each field, and no other.
#[test]
fn the_statistics_on_the_page() {
    let page = include_str!("../../../docs/protocol.md");
    let (_, after) = page
        .split_once("## What a hub tells of itself")
        .expect("the section");
    let (_, block) = after.split_once("```json\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    let stats: HubStats = serde_json::from_str(block).expect("decodes");
    let printed: serde_json::Value = serde_json::from_str(block).expect("JSON");
    assert_eq!(serde_json::to_value(&stats).expect("encodes"), printed);
}

/// The conversation printed on the protocol page is sound, and says what the page says.
#[test]
fn the_conversation_on_the_page() {
    let page = include_str!("../../../docs/protocol.md");
    let (_, after) = page
        .split_once("## A short conversation")
        .expect("the section");
    let (_, block) = after.split_once("```text\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    let mut said: Vec<(char, String)> = Vec::new();
    for line in block.lines() {
        match line.chars().next() {
            Some(way @ ('>' | '<')) => said.push((way, line[1..].into())),
            _ => {
                let last = &mut said
                    .last_mut()
                    .expect("a frame begins with its direction")
                    .1;
                last.push('\n');
                last.push_str(line);
            }
        }
    }
    let kinds: Vec<_> = said
        .iter()
        .map(|(way, text)| (*way, one_frame(&hex(text)).kind))
        .collect();
    let (control, emit, run) = (0x03, 0x10, 0x20);
    assert_eq!(
        kinds,
        [
            ('>', control),
            ('<', control),
            ('>', control),
            ('<', control),
            ('>', emit),
            ('<', control),
            ('<', control),
            ('<', control),
            ('<', run),
            ('>', emit),
            ('<', control),
        ]
    );
    for (way, text) in &said {
        let frame = one_frame(&hex(text));
        match (way, frame.kind) {
            ('>', 0x03) => {
                drop(
                    codec::decode::<ClientControl>(Codec::Postcard, &frame.body).expect("decodes"),
                );
            }
            (_, 0x03) => {
                drop(codec::decode::<HubControl>(Codec::Postcard, &frame.body).expect("decodes"));
            }
            (_, 0x10) => drop(data::emit(&frame.body, frame.flags).expect("decodes")),
            (_, _) => {
                assert_eq!(data::run(&frame.body).expect("decodes").first_seq, 41);
                assert_eq!(
                    frame.body[data::RUN_BYTES..],
                    hex(&said[4].1),
                    "the frame as it was sent"
                );
            }
        }
    }
}
