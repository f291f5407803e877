//! `opentelemetry/proto/common/v1` and `opentelemetry/proto/resource/v1`

use super::Kind::{Bool, Bytes, Double, Int32, Int64OrDouble, Nested, String, Uint32};
use super::{Message, oneof, repeated, single};

pub(super) static ANY_VALUE: Message = Message::new(
    "AnyValue",
    &[
        oneof(1, "stringValue", String),
        oneof(2, "boolValue", Bool),
        oneof(3, "intValue", Int64OrDouble { double: 4 }),
        oneof(4, "doubleValue", Double),
        oneof(5, "arrayValue", Nested(&ARRAY_VALUE)),
        oneof(6, "kvlistValue", Nested(&KEY_VALUE_LIST)),
        oneof(7, "bytesValue", Bytes),
        oneof(8, "stringValueStrindex", Int32),
    ],
);

static ARRAY_VALUE: Message = Message::new("ArrayValue", &[repeated(1, "values", Nested(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = Message::new("KeyValueList", &[repeated(1, "values", Nested(&KEY_VALUE))]);

pub(crate) static KEY_VALUE: Message = Message::new(
    "KeyValue",
    &[single(1, "key", String), single(2, "value", Nested(&ANY_VALUE)), single(3, "keyStrindex", Int32)],
);

pub(super) static SCOPE: Message = Message::new(
    "InstrumentationScope",
    &[
        single(1, "name", String),
        single(2, "version", String),
        repeated(3, "attributes", Nested(&KEY_VALUE)),
        single(4, "droppedAttributesCount", Uint32),
    ],
);

static ENTITY_REF: Message = Message::new(
    "EntityRef",
    &[
        single(1, "schemaUrl", String),
        single(2, "type", String),
        repeated(3, "idKeys", String),
        repeated(4, "descriptionKeys", String),
    ],
);

pub(super) static RESOURCE: Message = Message::new(
    "Resource",
    &[
        repeated(1, "attributes", Nested(&KEY_VALUE)),
        single(2, "droppedAttributesCount", Uint32),
        repeated(3, "entityRefs", Nested(&ENTITY_REF)),
    ],
);
