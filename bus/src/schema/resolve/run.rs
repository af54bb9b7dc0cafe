//! A plan at work on one value.
//!
//! The writer's bytes are read by the walk that shows and checks values ([`Walk`]), with its limits; this adds what is
//! written of them. It recurses as deeply as the plan.

use super::Resolver;
use super::op::{Choice, Limit, Op, Parts, Step, under};
use super::plan::spelled;
use crate::schema::{
    Budget, TypeSchema,
    error::{Failure, Segment},
    output::Output,
    scalar::{Scalar, ScalarKind},
    text::quote,
    to_json::Nothing,
    tree::{Block, Kind, NodeId},
    walk::{Walk, Walked},
};

/// Room for a variant's name within a message, in bytes.
const QUOTED: usize = 64;

/// Makes a value of the reader's type of one of the writer's.
pub(super) fn run(resolver: &Resolver, bytes: &[u8], budget: &Budget) -> Walked<Vec<u8>> {
    let mut run = Run {
        walk: Walk::new(&resolver.writer, bytes, Nothing, budget),
        bytes,
        reader: &resolver.reader,
        out: Output::new(budget.output),
        ends: Vec::new(),
    };
    run.op(&resolver.op, 1)?;
    run.walk.ended()?;
    Ok(run.out.into_bytes())
}

struct Run<'a> {
    walk: Walk<'a, Nothing>,
    bytes: &'a [u8],
    reader: &'a TypeSchema,
    out: Output,
    /// Where the values of structs that are to be put into order end in `out`; the innermost struct's are the last.
    ends: Vec<usize>,
}

impl Run<'_> {
    fn op(&mut self, op: &Op, depth: usize) -> Walked {
        match op {
            Op::Copy(node) => self.copy(*node, depth),
            Op::Limited { node, max } => self.limited(*node, *max, depth),
            Op::Widen { node, from, to } => self.widen(*node, *from, *to, depth),
            Op::Some(inner) => {
                self.put(&[1])?;
                self.op(inner, depth)
            }
            Op::Option { node, inner } => {
                self.walk.charge(depth)?;
                let some = self.walk.input.some();
                let some = some.map_err(|flaw| self.walk.flawed(*node, flaw))?;
                self.put(&[some.into()])?;
                if some {
                    self.op(inner, depth + 1)?;
                }
                Ok(())
            }
            Op::Seq {
                node,
                element,
                limit,
            } => self.seq(*node, element, *limit, depth),
            Op::Map {
                node,
                key,
                value,
                limit,
            } => self.map(*node, (key, value), *limit, depth),
            Op::Parts(parts) => {
                self.walk.charge(depth)?;
                self.parts(parts, depth)
            }
            Op::Enum {
                node,
                variants,
                choices,
            } => self.choice(*node, *variants, choices, depth),
        }
    }

    fn copy(&mut self, node: NodeId, depth: usize) -> Walked {
        let from = self.walk.input.position();
        self.walk.value(node, depth)?;
        self.put(&self.bytes[from..self.walk.input.position()])
    }

    fn limited(&mut self, node: NodeId, max: u64, depth: usize) -> Walked {
        let mut ahead = self.walk.input;
        let len = ahead.varint(64);
        let len = len.map_err(|flaw| self.walk.flawed(node, flaw))?;
        if len > max {
            return Err(Failure::misfit(format!(
                "a length of {len}, and the reader takes {max}"
            )));
        }
        self.copy(node, depth)
    }

    fn widen(&mut self, node: NodeId, from: ScalarKind, to: ScalarKind, depth: usize) -> Walked {
        self.walk.charge(depth)?;
        let value = Scalar::read(from, &mut self.walk.input);
        let value = value.map_err(|flaw| self.walk.flawed(node, flaw))?;
        let put = value.write(to, &mut self.out);
        put.map_err(|full| self.walk.full(full))
    }

    fn seq(&mut self, node: NodeId, element: &Op, limit: Limit, depth: usize) -> Walked {
        self.walk.charge(depth)?;
        for at in 0..self.count(node, limit)? {
            self.op(element, depth + 1)
                .map_err(|failure| failure.under(Segment::Index(at)))?;
        }
        Ok(())
    }

    fn map(&mut self, node: NodeId, ops: (&Op, &Op), limit: Limit, depth: usize) -> Walked {
        self.walk.charge(depth)?;
        for at in 0..self.count(node, limit)? {
            let key_at = self.walk.input;
            self.op(ops.0, depth + 1)
                .map_err(|failure| failure.under(Segment::Index(at)))?;
            self.op(ops.1, depth + 1)
                .map_err(|failure| failure.under(self.walk.key_segment(node + 1, key_at, at)))?;
        }
        Ok(())
    }

    /// How many elements there are: as the writer's type allows, and the reader's.
    fn count(&mut self, node: NodeId, limit: Limit) -> Walked<usize> {
        let tree = self.walk.tree;
        let (max, other) = match tree.kind(node) {
            Kind::Map { max } => (max, tree.after(node + 1)),
            Kind::Seq { max } => (max, node + 1),
            _ => (None, node + 1),
        };
        let zero_sized = tree.node(node + 1).zero_sized && tree.node(other).zero_sized;
        let count = self.walk.count(node, max, zero_sized)?;
        if limit.max.is_some_and(|max| count as u64 > max) || (limit.zero_sized && count > 0) {
            return Err(Failure::misfit(format!(
                "{count} elements, and the reader's type is `{}`{}",
                spelled(self.reader, limit.node),
                if limit.zero_sized {
                    ", whose elements are without a size"
                } else {
                    ""
                }
            )));
        }
        let put = self.out.put_varint(count as u128);
        put.map_err(|full| self.walk.full(full))?;
        Ok(count)
    }

    fn parts(&mut self, parts: &Parts, depth: usize) -> Walked {
        let (start, base) = (self.out.len(), self.ends.len());
        for step in &parts.steps {
            self.step(step, depth + 1)?;
            if parts.order.is_some() && !matches!(step, Step::Skip { .. }) {
                self.ends.push(self.out.len());
            }
        }
        if let Some(order) = &parts.order {
            let ends = &self.ends[base..];
            let pieces = order.iter().map(|piece| match *piece as usize {
                0 => start..ends[0],
                piece => ends[piece - 1]..ends[piece],
            });
            self.out.arrange(start, pieces);
            self.ends.truncate(base);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, depth: usize) -> Walked {
        let (done, at) = match step {
            Step::Take { op, at } => (self.op(op, depth), *at),
            Step::Skip { node, at } => (self.walk.value(*node, depth), *at),
            Step::None => {
                self.walk.charge(depth)?;
                return self.put(&[0]);
            }
        };
        done.map_err(|failure| under(failure, at, self.walk.tree))
    }

    fn choice(
        &mut self,
        node: NodeId,
        variants: Block,
        choices: &[Choice],
        depth: usize,
    ) -> Walked {
        self.walk.charge(depth)?;
        let (at, variant) = self.walk.pick(node, variants)?;
        let name = &self.walk.tree.name(variant.name).text;
        match &choices[at] {
            Choice::Known { number, parts } => {
                let put = self.out.put_varint((*number).into());
                put.map_err(|full| self.walk.full(full))?;
                self.parts(parts, depth)
                    .map_err(|failure| failure.under(Segment::Key(name.to_string())))
            }
            Choice::Unknown => Err(Failure::misfit(format!(
                "the reader doesn't know the variant {}",
                quote(name, QUOTED)
            ))),
            Choice::Misfit(failure) => Err(failure.clone()),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Walked {
        self.out.put(bytes).map_err(|full| self.walk.full(full))
    }
}
