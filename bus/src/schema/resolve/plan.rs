//! What becomes of a value of one type that is read as another: worked out from the two schemas.
//!
//! It recurses, and may: a level of it is a level of one of the types, and more than two types' worth are refused. Each
//! field and variant has one counterpart at most, even where a hostile schema has names twice; so each part of the writer's
//! type is visited once, and a plan is never larger than the two types together.

use std::cell::Cell;

use super::fields::{Counterparts, StepList};
use super::op::{Choice, Limit, Op, Parts, Place, Step, under};
use crate::schema::{
    SchemaLimits, TypeSchema,
    error::{Failure, Segment},
    text::{PHRASE, spell},
    tree::{Block, Kind, NodeId, Shape, Tree},
    walk::Walked,
};

/// Levels of both types together.
const LEVELS: usize = 2 * SchemaLimits::DEFAULT.depth;

/// How many elements the writer's type allows, and the reader's.
type Lengths = (Option<u64>, Option<u64>);

/// Works out what becomes of the writer's values, and about how many bytes the answer takes.
pub(super) fn plan(writer: &TypeSchema, reader: &TypeSchema) -> Walked<(Op, usize)> {
    let planner = Planner {
        from: writer,
        to: reader,
        in_key: false,
        steps: &Cell::new(0),
    };
    let op = planner.op(0, 0, 1)?;
    Ok((op, planner.steps.get() * size_of::<Step>()))
}

#[derive(Clone, Copy)]
struct Planner<'a> {
    from: &'a TypeSchema,
    to: &'a TypeSchema,
    /// Within a key of a map.
    in_key: bool,
    /// How many there are by now.
    steps: &'a Cell<usize>,
}

impl Planner<'_> {
    /// What becomes of the writer's type `from` as the reader's type `to`.
    fn op(&self, from: NodeId, to: NodeId, level: usize) -> Walked<Op> {
        if level > LEVELS {
            return Err(Failure::misfit(format!("nested more than {LEVELS} levels")));
        }
        self.steps.update(|steps| steps + 1);
        let (node, to) = (bare(self.from.tree(), from), bare(self.to.tree(), to));
        let (ours, theirs) = (self.from.tree().kind(node), self.to.tree().kind(to));
        match (ours, theirs) {
            (Kind::Option, Kind::Option) => Ok(match self.op(node + 1, to + 1, level + 1)? {
                Op::Copy(_) => Op::Copy(node),
                inner => Op::Option {
                    node,
                    inner: Box::new(inner),
                },
            }),
            (_, Kind::Option) => Ok(Op::Some(Box::new(self.op(node, to + 1, level + 1)?))),
            (Kind::Seq { max }, Kind::Seq { max: theirs }) => {
                self.seq(node, to, (max, theirs), level)
            }
            (Kind::Map { max }, Kind::Map { max: theirs }) => {
                self.map(node, to, (max, theirs), level)
            }
            (Kind::Enum { variants, .. }, Kind::Enum { variants: to, .. }) => {
                self.choices(node, variants, to, level)
            }
            (Kind::String { max }, Kind::String { max: theirs })
            | (Kind::Bytes { max }, Kind::Bytes { max: theirs }) => Ok(match theirs {
                Some(theirs) if is_narrower(max, Some(theirs)) => Op::Limited { node, max: theirs },
                Some(_) | None => Op::Copy(node),
            }),
            (ours, theirs) => match (shape(node, ours), shape(to, theirs)) {
                (Some(ours), Some(theirs)) if same_form(ours, theirs) => {
                    let parts = self.parts(ours, theirs, level)?;
                    Ok(if parts.keep_bytes() {
                        Op::Copy(node)
                    } else {
                        Op::Parts(parts)
                    })
                }
                _ => self.scalar(node, to),
            },
        }
    }

    fn scalar(&self, node: NodeId, to: NodeId) -> Walked<Op> {
        let kinds = (
            self.from.tree().kind(node).scalar(),
            self.to.tree().kind(to).scalar(),
        );
        match kinds {
            (Some(from), Some(to)) if from.widens_to(to) => Ok(if from.keeps_bytes(to) {
                Op::Copy(node)
            } else {
                Op::Widen { node, from, to }
            }),
            _ => Err(Failure::misfit(format!(
                "`{}` can't be read as `{}`",
                spelled(self.from, node),
                spelled(self.to, to)
            ))),
        }
    }

    fn seq(&self, node: NodeId, to: NodeId, max: Lengths, level: usize) -> Walked<Op> {
        let element = self
            .op(node + 1, to + 1, level + 1)
            .map_err(|failure| failure.under(Segment::Each))?;
        if matches!(element, Op::Copy(_)) && !is_narrower(max.0, max.1) {
            return Ok(Op::Copy(node));
        }
        Ok(Op::Seq {
            node,
            element: Box::new(element),
            limit: self.limit(to, max.1, to + 1),
        })
    }

    fn map(&self, node: NodeId, to: NodeId, max: Lengths, level: usize) -> Walked<Op> {
        let (from_tree, to_tree) = (self.from.tree(), self.to.tree());
        let in_key = Self {
            in_key: true,
            ..*self
        };
        let key = in_key
            .op(node + 1, to + 1, level + 1)
            .map_err(|failure| failure.under(Segment::EachKey))?;
        let value_of_to = to_tree.after(to + 1);
        let value = self
            .op(from_tree.after(node + 1), value_of_to, level + 1)
            .map_err(|failure| failure.under(Segment::Each))?;
        if matches!((&key, &value), (Op::Copy(_), Op::Copy(_))) && !is_narrower(max.0, max.1) {
            return Ok(Op::Copy(node));
        }
        Ok(Op::Map {
            node,
            key: Box::new(key),
            value: Box::new(value),
            limit: self.limit(to, max.1, value_of_to),
        })
    }

    /// What the reader's `node` says of how many elements there may be; `last` is the last part of each.
    fn limit(&self, node: NodeId, max: Option<u64>, last: NodeId) -> Limit {
        let tree = self.to.tree();
        Limit {
            node,
            max,
            zero_sized: tree.node(node + 1).zero_sized && tree.node(last).zero_sized,
        }
    }

    /// What becomes of values in a row; both shapes are of one form.
    fn parts(&self, from: Shape, to: Shape, level: usize) -> Walked<Parts> {
        let steps = match (from, to) {
            (Shape::Newtype(from), Shape::Newtype(to)) => {
                vec![self.take(from, to, Place::Only, level)?]
            }
            (Shape::Tuple { first, len }, Shape::Tuple { first: to, .. }) => {
                let (mut from, mut to) = (first, to);
                let mut steps = Vec::with_capacity(len as usize);
                for at in 0..len {
                    steps.push(self.take(from, to, Place::Index(at), level)?);
                    from = self.from.tree().after(from);
                    to = self.to.tree().after(to);
                }
                steps
            }
            (Shape::Struct(from), Shape::Struct(to)) => return self.fields(from, to, level),
            _ => Vec::new(),
        };
        Ok(Parts {
            steps: steps.into(),
            order: None,
        })
    }

    fn take(&self, from: NodeId, to: NodeId, at: Place, level: usize) -> Walked<Step> {
        match self.op(from, to, level + 1) {
            Ok(op) => Ok(Step::Take { op, at }),
            Err(failure) => Err(under(failure, at, self.from.tree())),
        }
    }

    /// What becomes of named fields.
    fn fields(&self, from: Block, to: Block, level: usize) -> Walked<Parts> {
        let (ours, theirs) = (self.from.tree(), self.to.tree());
        let counterparts = Counterparts::of_fields(ours, from, theirs, to);
        self.missing_may_be(to, &counterparts)?;
        let mut list = StepList::new(&counterparts);
        for (at, field) in ours.fields(from).iter().enumerate() {
            let place = Place::Field(field.name);
            match counterparts.of_ours[at] {
                Some(position) => {
                    list.none_up_to(position);
                    let node = theirs.fields(to)[position as usize].node;
                    list.take(position, self.take(field.node, node, place, level)?);
                }
                None if self.in_key => {
                    return Err(under(
                        Failure::misfit(
                            "the reader doesn't know the field, and without it two keys of the map could become one",
                        ),
                        place,
                        ours,
                    ));
                }
                None => list.skip(field.node, place),
            }
        }
        let fields = from.len + to.len;
        self.steps.update(|steps| steps + fields as usize);
        Ok(list.finish())
    }

    /// Whether all that the writer doesn't have are options.
    fn missing_may_be(&self, to: Block, counterparts: &Counterparts) -> Walked {
        let tree = self.to.tree();
        let fields = tree.fields(to).iter().zip(&counterparts.of_theirs);
        for (field, counterpart) in fields {
            if counterpart.is_none() && tree.kind(field.node) != Kind::Option {
                let failure = Failure::misfit(format!(
                    "the writer doesn't have the field, and `{}` is no `Option`",
                    spelled(self.to, field.node)
                ));
                let name = tree.name(field.name).text.to_string();
                return Err(failure.under(Segment::Key(name)));
            }
        }
        Ok(())
    }

    /// What becomes of each variant.
    fn choices(&self, node: NodeId, from: Block, to: Block, level: usize) -> Walked<Op> {
        let (ours, theirs) = (self.from.tree(), self.to.tree());
        let counterparts = Counterparts::of_variants(ours, from, theirs, to);
        let mut choices = Vec::with_capacity(from.len as usize);
        for (variant, number) in ours.variants(from).iter().zip(&counterparts.of_ours) {
            self.steps.update(|steps| steps + 1);
            choices.push(match *number {
                None => Choice::Unknown,
                Some(number) => {
                    let shape = theirs.variants(to)[number as usize].shape;
                    match self.contents(variant.shape, shape, level) {
                        Ok(parts) => Choice::Known { number, parts },
                        Err(failure) => {
                            let name = ours.name(variant.name).text.to_string();
                            Choice::Misfit(failure.under(Segment::Key(name)))
                        }
                    }
                }
            });
        }
        let keeps_bytes = |(at, choice): (usize, &Choice)| match choice {
            Choice::Known { number, parts } => *number as usize == at && parts.keep_bytes(),
            Choice::Unknown | Choice::Misfit(_) => false,
        };
        if choices.iter().enumerate().all(keeps_bytes) {
            return Ok(Op::Copy(node));
        }
        if !choices.iter().any(|c| matches!(c, Choice::Known { .. })) {
            let misfit = choices.into_iter().find_map(|choice| match choice {
                Choice::Misfit(failure) => Some(failure),
                Choice::Known { .. } | Choice::Unknown => None,
            });
            return Err(misfit.unwrap_or_else(|| {
                Failure::misfit("the reader knows none of the writer's variants")
            }));
        }
        Ok(Op::Enum {
            node,
            variants: from,
            choices: choices.into(),
        })
    }

    /// What becomes of what a variant holds.
    fn contents(&self, from: Shape, to: Shape, level: usize) -> Walked<Parts> {
        if same_form(from, to) {
            return self.parts(from, to, level);
        }
        Err(Failure::misfit(format!(
            "the writer's variant holds {}, and the reader's {}",
            form(from),
            form(to)
        )))
    }
}

/// What a newtype struct holds; anything else is itself.
fn bare(tree: &Tree, mut id: NodeId) -> NodeId {
    while let Kind::Struct {
        shape: Shape::Newtype(inner),
        ..
    } = tree.kind(id)
    {
        id = inner;
    }
    id
}

/// Tuples, structs and units hold values in a row.
const fn shape(id: NodeId, kind: Kind) -> Option<Shape> {
    match kind {
        Kind::Struct { shape, .. } => Some(shape),
        Kind::Tuple { len } => Some(Shape::Tuple { first: id + 1, len }),
        Kind::Unit => Some(Shape::Unit),
        _ => None,
    }
}

const fn same_form(one: Shape, other: Shape) -> bool {
    match (one, other) {
        (Shape::Unit, Shape::Unit)
        | (Shape::Newtype(_), Shape::Newtype(_))
        | (Shape::Struct(_), Shape::Struct(_)) => true,
        (Shape::Tuple { len, .. }, Shape::Tuple { len: other, .. }) => len == other,
        (Shape::Unit | Shape::Newtype(_) | Shape::Tuple { .. } | Shape::Struct(_), _) => false,
    }
}

fn form(shape: Shape) -> String {
    match shape {
        Shape::Unit => "nothing".into(),
        Shape::Newtype(_) => "one value".into(),
        Shape::Tuple { len, .. } => format!("a tuple of {len}"),
        Shape::Struct(_) => "named fields".into(),
    }
}

/// Whether a length that one type allows may be too much for the other.
fn is_narrower(ours: Option<u64>, theirs: Option<u64>) -> bool {
    theirs.is_some_and(|theirs| ours.is_none_or(|ours| ours > theirs))
}

pub(super) fn spelled(schema: &TypeSchema, id: NodeId) -> String {
    spell(schema.tree(), schema.encoded(), id, PHRASE)
}
