//! From a tree of text to nodes: names are looked up, types are checked, and what is known already is worked
//! out.

use crate::arithmetic::Operator;
use crate::ast::{Argument, Call, Expr, Kind, Segment};
use crate::collection::{List, Map};
use crate::compare::Comparison;
use crate::condition::Condition;
use crate::error::Mistake;
use crate::functions::{self, Accepts, Body, Function, Parameter};
use crate::node::{Frame, Key, Missing, Node, Test, View};
use crate::paths::{self, Context, Names, Prefix};
use crate::pattern;
use crate::reading::Reading;
use crate::slots::{Level, Place, What};
use crate::types::Types;
use crate::value::{Text, Value};

type Result<T> = std::result::Result<T, Mistake>;

/// Compiles the tree of a whole condition.
pub(crate) fn condition(expr: &Expr<'_>, source: &str, context: Context) -> Result<Condition> {
    let mut compiler = Compiler { context, places: Vec::new(), volatile: false };
    let gate = compiler.gate(expr)?;
    let test = compiler.test(expr)?;
    let Compiler { places, volatile, .. } = compiler;
    let gate = gate.unwrap_or(places.len());
    Ok(Condition { source: source.into(), context, test, places, gate, volatile })
}

struct Compiler {
    context: Context,
    places: Vec<Place>,
    volatile: bool,
}

/// A node and the types that its value can have.
struct Typed {
    node: Node,
    types: Types,
}

impl Typed {
    const fn literal(value: Value<'static>, types: Types) -> Self {
        Self { node: Node::Literal(value), types }
    }
}

impl Compiler {
    /// Compiles what is evaluated first, so that its slots come first. Returns how many they are if nothing else
    /// can make the condition hold or fail without them.
    fn gate(&mut self, expr: &Expr<'_>) -> Result<Option<usize>> {
        let Kind::And(operands) = &expr.kind else {
            return Ok(None);
        };
        let first = operands.first().map(|operand| self.test(operand)).transpose()?;
        let without = first.map(|test| test.holds(&Frame { view: &View::EMPTY, slots: &[] }));
        // A resource is looked at before its spans are, and cannot wait for them.
        let near = |place: &Place| matches!(place.level, Level::Span | Level::Event);
        let shut = without == Some(Ok(false)) && !self.places.is_empty() && self.places.iter().all(near);
        Ok(shut.then_some(self.places.len()))
    }

    /// Something that has to be true or false.
    fn test(&mut self, expr: &Expr<'_>) -> Result<Test> {
        match &expr.kind {
            Kind::Bool(value) => Ok(Test::Constant(*value)),
            Kind::Not(inner) => Ok(match self.test(inner)? {
                Test::Constant(value) => Test::Constant(!value),
                test => Test::Not(Box::new(test)),
            }),
            Kind::And(operands) => self.junction(operands, false, Test::All),
            Kind::Or(operands) => self.junction(operands, true, Test::Any),
            Kind::Compare(left, comparison, right) => self.comparison(left, *comparison, right),
            Kind::Call(call) => {
                let typed = self.call(call, expr.at)?;
                if !typed.types.meets(Types::BOOL) {
                    let message = format!("`{}` is {}, not true or false", call.name, typed.types);
                    return Err(Mistake::new(expr.at, message).with_help("compare it with something"));
                }
                Ok(match typed.node {
                    Node::Literal(Value::Bool(value)) => Test::Constant(value),
                    node => Test::Holds(node),
                })
            }
            Kind::Path(segments) => {
                let name = segments.first().map_or("it", |segment| segment.name);
                let message = format!("`{name}` is a value, not true or false");
                let help = "compare it, as in `… == true` or `… != nil`, or ask a function such as `IsMatch`";
                Err(Mistake::new(expr.at, message).with_help(help))
            }
            _ => Err(Mistake::new(expr.at, "a value, where something true or false is needed")
                .with_help("compare it with something")),
        }
    }

    /// Tests joined by `and` or `or`. A literal that settles the answer does so before anything is evaluated,
    /// as in the Collector.
    fn junction(
        &mut self,
        operands: &[Expr<'_>],
        settling: bool,
        join: fn(Box<[Test]>) -> Test,
    ) -> Result<Test> {
        let tests = operands.iter().map(|operand| self.test(operand)).collect::<Result<Vec<_>>>()?;
        if tests.iter().any(|test| matches!(test, Test::Constant(value) if *value == settling)) {
            return Ok(Test::Constant(settling));
        }
        let mut open: Vec<_> = tests.into_iter().filter(|test| !matches!(test, Test::Constant(_))).collect();
        Ok(match open.len() {
            0 => Test::Constant(!settling),
            1 => open.remove(0),
            _ => join(open.into()),
        })
    }

    fn comparison(&mut self, left: &Expr<'_>, comparison: Comparison, right: &Expr<'_>) -> Result<Test> {
        let at = left.at;
        let (left, right) = (self.value(left)?, self.value(right)?);
        let both = left.types.or(right.types);
        let numbers = left.types.meets(Types::NUMBER) && right.types.meets(Types::NUMBER);
        let common = left.types.and(right.types);
        if !(both.meets(Types::NIL) || numbers || common != Types::NONE) {
            let message = format!("{} is never equal to {}", left.types, right.types);
            let mistake = Mistake::new(at, message);
            let ids = Types::TRACE_ID | Types::SPAN_ID;
            return Err(if both.meets(ids) && both.meets(Types::STRING | Types::BYTES) {
                mistake.with_help("write `TraceID(\"…\")` or `SpanID(\"…\")`, or compare `….string`")
            } else {
                mistake.with_help("convert one of them, for instance with `String(…)` or `Int(…)`")
            });
        }
        if comparison.orders() && !both.meets(Types::NIL) && !numbers && !common.meets(Types::ORDERED) {
            return Err(Mistake::new(at, format!("{common} is neither more nor less than another"))
                .with_help("compare with `==` or `!=`"));
        }
        Ok(match (left.node, right.node) {
            (Node::Literal(left), Node::Literal(right)) => Test::Constant(comparison.holds(&left, &right)),
            (left, right) => Test::Compare(left, comparison, right),
        })
    }

    /// Something that has to have a value.
    fn value(&mut self, expr: &Expr<'_>) -> Result<Typed> {
        Ok(match &expr.kind {
            Kind::Nil => Typed::literal(Value::Nil, Types::NIL),
            Kind::Bool(value) => Typed::literal(Value::Bool(*value), Types::BOOL),
            Kind::Int(value) => Typed::literal(Value::Int(*value), Types::INT),
            Kind::Float(value) => Typed::literal(Value::Float(*value), Types::FLOAT),
            Kind::String(text) => {
                Typed::literal(Value::String(Text::Owned(text.clone().into_bytes())), Types::STRING)
            }
            Kind::Bytes(bytes) => Typed::literal(Value::Bytes(Text::Owned(bytes.clone())), Types::BYTES),
            Kind::Enum(name) => Typed::literal(Value::Int(paths::enum_member(name, expr.at)?), Types::INT),
            Kind::List(items) => {
                let nodes =
                    items.iter().map(|item| Ok(self.value(item)?.node)).collect::<Result<Vec<_>>>()?;
                let node = match nodes.iter().map(literal).collect::<Option<Vec<_>>>() {
                    Some(values) => Node::Literal(Value::List(List::Owned(values))),
                    None => Node::List(nodes.into()),
                };
                Typed { node, types: Types::LIST }
            }
            Kind::Map(entries) => Typed { node: self.map(entries)?, types: Types::MAP },
            Kind::Path(segments) => self.path(segments, expr.at)?,
            Kind::Call(call) => self.call(call, expr.at)?,
            Kind::Negate(operand) => {
                let Typed { node, types } = self.value(operand)?;
                if !types.meets(Types::NUMBER) {
                    return Err(Mistake::new(expr.at, format!("{types} has no opposite")));
                }
                Typed { node: Node::Negate(Box::new(node)), types: types.and(Types::NUMBER) }
            }
            Kind::Arithmetic(first, rest) => self.arithmetic(first, rest)?,
            Kind::Compare(..) | Kind::Not(_) | Kind::And(_) | Kind::Or(_) => {
                return Err(Mistake::new(expr.at, "something true or false, where a value is needed")
                    .with_help("join comparisons with `and`, `or` and `not`"));
            }
        })
    }

    fn map(&mut self, entries: &[(String, Expr<'_>)]) -> Result<Node> {
        let mut nodes: Vec<(Text<'static>, Node)> = Vec::new();
        for (key, value) in entries {
            let key = key.as_bytes();
            let node = self.value(value)?.node;
            // Of equal keys, the last is left, as in the Collector.
            nodes.retain(|(other, _)| **other != *key);
            nodes.push((Text::Owned(key.to_vec()), node));
        }
        let literals = nodes.iter().map(|(key, node)| Some((key.clone(), literal(node)?)));
        Ok(match literals.collect::<Option<Vec<_>>>() {
            Some(entries) => Node::Literal(Value::Map(Map::Owned(entries))),
            None => Node::Map(nodes.into()),
        })
    }

    fn arithmetic(&mut self, first: &Expr<'_>, rest: &[(Operator, Expr<'_>)]) -> Result<Typed> {
        let mut typed = self.value(first)?;
        let mut operands = Vec::with_capacity(rest.len());
        for (operator, operand) in rest {
            let Typed { node, types } = self.value(operand)?;
            let result = operator.types(typed.types, types);
            if result == Types::NONE {
                let message = format!("cannot calculate {} {} {types}", typed.types, operator.symbol());
                return Err(Mistake::new(operand.at, message)
                    .with_help("numbers go with numbers, durations with times and durations"));
            }
            typed.types = result;
            operands.push((*operator, node));
        }
        typed.node = Node::Arithmetic(Box::new(typed.node), operands.into());
        Ok(typed)
    }

    fn path(&mut self, segments: &[Segment<'_>], at: usize) -> Result<Typed> {
        let names: Vec<_> = segments.iter().map(|segment| segment.name).collect();
        let (Prefix { level, .. }, path) = self.context.find(&names, at)?;
        let (keys, inner) = match segments.split_last() {
            Some((last, inner)) => (last.keys.as_slice(), inner),
            None => (&[][..], segments),
        };
        let indexable = matches!(path.names, Names::Attributes | Names::TraceState(_) | Names::Cache);
        let unexpected = inner.iter().find_map(|segment| segment.keys.first());
        if let Some(key) = unexpected.or_else(|| keys.first().filter(|_| !indexable)) {
            return Err(Mistake::new(key.at, format!("`{}` cannot be indexed", path.name)));
        }
        let node = match &path.names {
            Names::Field(number, reading) => self.slot(*level, What::Field(*number), reading.clone()),
            Names::Around(number, reading) => {
                let around = if *level == Level::Resource { Level::ResourceSpans } else { Level::ScopeSpans };
                self.slot(around, What::Field(*number), reading.clone())
            }
            Names::Count(number) => self.slot(*level, What::Count(*number), Reading::Records),
            Names::EventIndex => {
                self.volatile = true;
                Node::EventIndex
            }
            Names::TraceState(number) => {
                let reading = match keys {
                    [] => Reading::Text,
                    [Expr { kind: Kind::String(key), .. }] => Reading::Member(key.as_str().into()),
                    [key, ..] => {
                        return Err(Mistake::new(key.at, "a trace state is indexed by one string"));
                    }
                };
                let types = if keys.is_empty() { Types::STRING } else { Types::STRING | Types::NIL };
                return Ok(Typed { node: self.slot(*level, What::Field(*number), reading), types });
            }
            Names::Cache if keys.is_empty() => Node::Literal(Value::Map(Map::EMPTY)),
            Names::Cache => return self.index(Node::Literal(Value::Map(Map::EMPTY)), keys, Missing::Nil),
            Names::Attributes => return self.attributes(*level, keys),
        };
        Ok(Typed { node, types: path.types })
    }

    /// The attributes of a level, or what is at the keys in them.
    fn attributes(&mut self, level: Level, keys: &[Expr<'_>]) -> Result<Typed> {
        match keys {
            [Expr { kind: Kind::String(key), .. }, rest @ ..] => {
                let slot = self.slot(level, What::Attribute(key.as_str().into()), Reading::Attribute);
                if rest.is_empty() {
                    return Ok(Typed { node: slot, types: Types::ATTRIBUTE });
                }
                self.index(slot, rest, Missing::Nil)
            }
            [Expr { kind: Kind::Int(_) | Kind::Float(_), at }, ..] => {
                Err(Mistake::new(*at, "attributes are indexed by strings"))
            }
            _ => {
                let all = self.slot(level, What::Attributes, Reading::Attributes(level.attributes()));
                if keys.is_empty() {
                    return Ok(Typed { node: all, types: Types::MAP });
                }
                self.index(all, keys, Missing::Nil)
            }
        }
    }

    fn index(&mut self, node: Node, keys: &[Expr<'_>], missing: Missing) -> Result<Typed> {
        let keys = keys.iter().map(|key| self.key(key)).collect::<Result<Vec<_>>>()?;
        Ok(Typed { node: Node::Index(Box::new(node), keys.into(), missing), types: Types::ATTRIBUTE })
    }

    fn key(&mut self, expr: &Expr<'_>) -> Result<Key> {
        Ok(match &expr.kind {
            Kind::String(name) => Key::Name(name.as_str().into()),
            Kind::Int(position) => Key::Position(*position),
            _ => {
                let Typed { node, types } = self.value(expr)?;
                if !types.meets(Types::STRING | Types::INT) {
                    return Err(Mistake::new(expr.at, format!("a key is a string or an int, not {types}")));
                }
                Key::Computed(node)
            }
        })
    }

    /// The node that reads a slot; equal slots are one.
    fn slot(&mut self, level: Level, what: What, reading: Reading) -> Node {
        let place = Place { level, what };
        let index = self.places.iter().position(|other| *other == place).unwrap_or_else(|| {
            self.places.push(place);
            self.places.len() - 1
        });
        Node::Slot(index, reading)
    }

    fn call(&mut self, call: &Call<'_>, at: usize) -> Result<Typed> {
        let function = functions::find(call.name, at)?;
        let nodes = self.arguments(function, call, at)?;
        (function.check)(&nodes).map_err(|message| Mistake::new(at, message))?;
        let node = self.apply(function, nodes, at)?;
        if call.keys.is_empty() {
            return Ok(Typed { node, types: function.returns });
        }
        if !function.returns.meets(Types::LIST | Types::MAP) {
            let message = format!("`{}` returns {}, which cannot be indexed", call.name, function.returns);
            return Err(Mistake::new(at, message));
        }
        self.index(node, &call.keys, Missing::Error)
    }

    fn apply(&mut self, function: &Function, mut nodes: Vec<Option<Node>>, at: usize) -> Result<Node> {
        let apply = match function.body {
            Body::Now => {
                self.volatile = true;
                return Ok(Node::Now);
            }
            Body::RootSpan => {
                let (level, what, reading) = paths::ROOT_SPAN;
                return Ok(self.slot(level, what, reading));
            }
            Body::Match(apply) => match nodes.as_mut_slice() {
                [target @ Some(_), Some(Node::Literal(Value::String(pattern)))] => {
                    let pattern = pattern::compile(&String::from_utf8_lossy(pattern));
                    let pattern = pattern.map_err(|error| Mistake::new(at, error.to_string()))?;
                    let target = target.take().unwrap_or(Node::Literal(Value::Nil));
                    let known = is_literal(&target);
                    return fold(Node::Matches(Box::new(target), pattern), known, at);
                }
                _ => apply,
            },
            Body::Pure(apply) => apply,
        };
        let known = nodes.iter().flatten().all(is_literal);
        fold(Node::Call(apply, nodes.into()), known, at)
    }

    /// The arguments of a call in the order of the function's parameters.
    fn arguments(&mut self, function: &Function, call: &Call<'_>, at: usize) -> Result<Vec<Option<Node>>> {
        let usage = || format!("it is called as `{}`", function.signature());
        let mut nodes: Vec<Option<Node>> = vec![None; function.parameters.len()];
        let mut named = false;
        for (place, Argument { name, value }) in call.arguments.iter().enumerate() {
            let found = match name {
                Some(name) => function.parameters.iter().position(|parameter| parameter.name == *name),
                None if named => {
                    return Err(Mistake::new(value.at, "an argument without a name after one with a name"));
                }
                None => Some(place).filter(|place| *place < function.parameters.len()),
            };
            named |= name.is_some();
            let Some(index) = found else {
                let message = match name {
                    Some(name) => format!("`{}` has no argument `{name}`", function.name),
                    None => format!("`{}` has too many arguments", function.name),
                };
                return Err(Mistake::new(value.at, message).with_help(usage()));
            };
            if nodes[index].is_some() {
                let message = format!("argument `{}` is given twice", function.parameters[index].name);
                return Err(Mistake::new(value.at, message));
            }
            nodes[index] = Some(self.argument(function, &function.parameters[index], value)?);
        }
        let missing =
            function.parameters.iter().zip(&nodes).find(|(given, node)| given.required && node.is_none());
        match missing {
            Some((parameter, _)) => {
                let message = format!("`{}` lacks its argument `{}`", function.name, parameter.name);
                Err(Mistake::new(at, message).with_help(usage()))
            }
            None => Ok(nodes),
        }
    }

    fn argument(&mut self, function: &Function, parameter: &Parameter, value: &Expr<'_>) -> Result<Node> {
        let mistake = |at, what: String| {
            Err(Mistake::new(at, format!("argument `{}` of `{}` {what}", parameter.name, function.name)))
        };
        match parameter.accepts {
            Accepts::ListOf(accepted) => {
                let Kind::List(items) = &value.kind else {
                    return mistake(value.at, format!("is a list of {accepted}, written out"));
                };
                let items = items.iter().map(|item| {
                    let Typed { node, types } = self.value(item)?;
                    if types.meets(accepted) {
                        Ok(node)
                    } else {
                        mistake(item.at, format!("is a list of {accepted}, not {types}"))
                    }
                });
                Ok(Node::List(items.collect::<Result<Vec<_>>>()?.into()))
            }
            Accepts::Value(accepted) | Accepts::Literal(accepted) => {
                let Typed { node, types } = self.value(value)?;
                if !types.meets(accepted) {
                    return mistake(value.at, format!("is {accepted}, not {types}"));
                }
                if matches!(parameter.accepts, Accepts::Literal(_)) && !matches!(node, Node::Literal(_)) {
                    return mistake(value.at, format!("is {accepted}, written out"));
                }
                Ok(node)
            }
        }
    }
}

/// The value of a literal.
fn literal(node: &Node) -> Option<Value<'static>> {
    match node {
        Node::Literal(value) => Some(value.clone()),
        _ => None,
    }
}

fn is_literal(node: &Node) -> bool {
    match node {
        Node::Literal(_) => true,
        Node::List(nodes) => nodes.iter().all(is_literal),
        _ => false,
    }
}

/// Works out a call whose arguments are all `known`; one that fails would fail for every span.
fn fold(node: Node, known: bool, at: usize) -> Result<Node> {
    if !known {
        return Ok(node);
    }
    let frame = Frame { view: &View::EMPTY, slots: &[] };
    let value = node.value(&frame).map(Value::into_owned);
    value.map(Node::Literal).map_err(|error| Mistake::new(at, error.to_string()))
}
