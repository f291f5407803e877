//! The tables against the descriptors of the `.proto` files.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::DESCRIPTORS;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use super::*;

/// What the protobuf compiler knows, by full name: `.opentelemetry.proto.trace.v1.Span.Event`.
#[derive(Default)]
struct Descriptors {
    messages: BTreeMap<String, DescriptorProto>,
    enums: BTreeMap<String, EnumDescriptorProto>,
}

impl Descriptors {
    fn load() -> Self {
        let mut descriptors = Self::default();
        for file in FileDescriptorSet::decode(DESCRIPTORS).unwrap().file {
            let package = format!(".{}", file.package());
            descriptors.add(&package, file.message_type, file.enum_type);
        }
        descriptors
    }

    fn add(&mut self, scope: &str, messages: Vec<DescriptorProto>, enums: Vec<EnumDescriptorProto>) {
        for descriptor in enums {
            self.enums.insert(format!("{scope}.{}", descriptor.name()), descriptor);
        }
        for mut descriptor in messages {
            let name = format!("{scope}.{}", descriptor.name());
            self.add(
                &name,
                std::mem::take(&mut descriptor.nested_type),
                std::mem::take(&mut descriptor.enum_type),
            );
            self.messages.insert(name, descriptor);
        }
    }

    /// Compares a table with its descriptor, and the tables it leads to.
    fn compare(&self, name: &str, message: &'static Message, seen: &mut BTreeSet<String>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        let descriptor = &self.messages[name];
        assert!(name.ends_with(&format!(".{}", message.name)), "{name} is called {}", message.name);
        let names = |numbers: &mut dyn Iterator<Item = i32>| numbers.collect::<Vec<_>>();
        assert_eq!(
            names(&mut message.fields.iter().map(|field| field.number.cast_signed())),
            names(&mut descriptor.field.iter().map(FieldDescriptorProto::number)),
            "the fields of {name}, in order"
        );
        assert!(message.fields.len() <= Message::MAX_FIELDS, "{name}");
        for (ours, theirs) in message.fields.iter().zip(&descriptor.field) {
            self.compare_field(&format!("{name}.{}", theirs.name()), ours, theirs, seen);
        }
    }

    fn compare_field(
        &self,
        path: &str,
        ours: &Field,
        theirs: &FieldDescriptorProto,
        seen: &mut BTreeSet<String>,
    ) {
        assert_eq!(ours.name, theirs.json_name(), "{path}");
        let cardinality = match theirs {
            field if field.label() == Label::Repeated => Cardinality::Repeated,
            field if field.proto3_optional() => Cardinality::Optional,
            field if field.oneof_index.is_some() => Cardinality::Oneof,
            _ => Cardinality::Single,
        };
        assert_eq!(ours.cardinality, cardinality, "{path}");
        match (&ours.kind, theirs.r#type()) {
            (Kind::Nested(message), Type::Message) => self.compare(theirs.type_name(), message, seen),
            (Kind::Enum(names), Type::Enum) => {
                let values = &self.enums[theirs.type_name()].value;
                let values: Vec<_> = values.iter().map(|value| (value.name(), value.number())).collect();
                assert_eq!(*names, values, "{path}");
            }
            (Kind::Id, Type::Bytes) => {
                assert!(path.ends_with("trace_id") || path.ends_with("span_id"), "{path}")
            }
            (Kind::Bytes, Type::Bytes) => assert!(!path.ends_with("_id"), "{path}"),
            (Kind::Int64OrDouble { double: 4 }, Type::Int64) => {
                assert!(path.ends_with(".AnyValue.int_value"))
            }
            (Kind::Bool, Type::Bool)
            | (Kind::Int32, Type::Int32)
            | (Kind::Sint32, Type::Sint32)
            | (Kind::Uint32, Type::Uint32)
            | (Kind::Fixed32, Type::Fixed32)
            | (Kind::Int64, Type::Int64)
            | (Kind::Uint64, Type::Uint64)
            | (Kind::Fixed64, Type::Fixed64)
            | (Kind::Sfixed64, Type::Sfixed64)
            | (Kind::Double, Type::Double)
            | (Kind::String, Type::String) => {}
            (_, kind) => panic!("{path} is a {kind:?}"),
        }
    }
}

#[test]
fn the_tables_are_the_proto_files() {
    let descriptors = Descriptors::load();
    let mut seen = BTreeSet::new();
    for (signal, service) in Signal::ALL.into_iter().zip(["trace", "metrics", "logs"]) {
        for message in [request(signal), response(signal)] {
            let name = format!(".opentelemetry.proto.collector.{service}.v1.{}", message.name);
            descriptors.compare(&name, message, &mut seen);
        }
    }
}

/// A second oneof in a message would need its own "last member wins".
#[test]
fn no_message_has_two_oneofs() {
    for (name, descriptor) in Descriptors::load().messages {
        let optional = descriptor.field.iter().filter(|field| field.proto3_optional()).count();
        assert!(descriptor.oneof_decl.len() - optional <= 1, "{name}");
    }
}
