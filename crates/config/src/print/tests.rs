use super::*;
use crate::Diagnostics;
use crate::node::Location;

fn parsed(text: &str) -> Node {
    let diagnostics = Diagnostics::new();
    let source = diagnostics.add_source("a.yaml", text);
    let node = crate::parse::parse(source, text, &diagnostics);
    assert_eq!(diagnostics.render(false), "", "{text}");
    node.unwrap()
}

fn printed(text: &str) -> String {
    print(&parsed(text), &|_| false)
}

#[test]
fn blocks_are_indented_and_keep_their_order() {
    let yaml = "\
service:
  pipelines:
    traces:
      receivers:
        - otlp
      processors: []
      exporters:
        - otlp/a
        - debug
processors:
  batch: null
  empty: {}
list:
  - - a
    - b
  - name: x
    value: 1
";
    assert_eq!(printed(yaml), yaml);
}

#[test]
fn scalars_keep_their_type() {
    for (yaml, expected) in [
        ("0x10", "16\n"),
        ("1.0", "1.0\n"),
        ("1e30", "1e30\n"),
        (".inf", ".inf\n"),
        ("-.inf", "-.inf\n"),
        (".nan", ".nan\n"),
        ("true", "true\n"),
        ("~", "null\n"),
        ("abc", "abc\n"),
        ("0.0.0.0:4317", "0.0.0.0:4317\n"),
        ("/var/log/x.yaml", "/var/log/x.yaml\n"),
        ("'42'", "\"42\"\n"),
        ("'null'", "\"null\"\n"),
        ("yes", "\"yes\"\n"),
        ("''", "\"\"\n"),
        ("'a b'", "\"a b\"\n"),
        ("'say \"\\'", "\"say \\\"\\\\\"\n"),
        ("\"a\\nb\\tc\\e\"", "\"a\\nb\\tc\\U0000001b\"\n"),
        ("'- a'", "\"- a\"\n"),
        ("'a: b'", "\"a: b\"\n"),
        ("'a:'", "\"a:\"\n"),
    ] {
        assert_eq!(printed(yaml), expected, "{yaml}");
    }
}

#[test]
fn secrets_are_hidden_and_nulls_shown() {
    let yaml = "\
exporters:
  otlp:
    endpoint: backend:4317
    headers:
      authorization: Bearer x
      empty:
    other_headers:
      - x
    tls:
      key_pem: abc
      key_file: /k.pem
  list:
    headers:
      - name: authorization
        value: Bearer x
extensions:
  basicauth:
    client_auth:
      username: me
      password: 5
      password_file: /p
    htpasswd:
      inline: 'a:b'
  bearertokenauth:
    token: s
    tokens: [a, b]
    scheme: Bearer
";
    let expected = "\
exporters:
  otlp:
    endpoint: backend:4317
    headers:
      authorization: \"[REDACTED]\"
      empty: null
    other_headers:
      - x
    tls:
      key_pem: \"[REDACTED]\"
      key_file: /k.pem
  list:
    headers:
      - name: authorization
        value: \"[REDACTED]\"
extensions:
  basicauth:
    client_auth:
      username: me
      password: \"[REDACTED]\"
      password_file: /p
    htpasswd:
      inline: \"[REDACTED]\"
  bearertokenauth:
    token: \"[REDACTED]\"
    tokens:
      - \"[REDACTED]\"
      - \"[REDACTED]\"
    scheme: Bearer
";
    assert_eq!(print(&parsed(yaml), &is_sensitive), expected);
}

mod laws {
    use proptest::prelude::*;

    use super::*;
    use crate::node::{Entry, SourceId};

    const HERE: Location = Location { source: SourceId(0), line: 1, column: 1, width: 1 };

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            any::<String>().prop_map(Value::String),
            "[ -~\n\t]{0,8}".prop_map(Value::String),
            "[-+0-9a-fA-Fxo_.:eE]{0,6}".prop_map(Value::String),
            prop::sample::select(vec![
                "null", "~", "true", "yes", "<<", "---", "...", "- a", "a: b", "#", "&a", "*a", "!x"
            ])
            .prop_map(|text| Value::String(text.to_owned())),
        ]
    }

    fn node() -> impl Strategy<Value = Node> {
        leaf().prop_map(|value| Node::new(value, HERE)).prop_recursive(5, 64, 6, |inner| {
            let key = prop_oneof![
                "[a-z/]{1,8}",
                "[ -~]{1,5}",
                any::<String>().prop_filter("empty", |key| !key.is_empty())
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                prop::collection::btree_map(key, inner, 0..6).prop_map(|entries| {
                    Value::Map(
                        entries.into_iter().map(|(key, value)| Entry { key, key_at: HERE, value }).collect(),
                    )
                }),
            ]
            .prop_map(|value| Node::new(value, HERE))
        })
    }

    fn same(a: &Node, b: &Node) -> bool {
        match (&a.value, &b.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Value::String(a), Value::String(b)) => a == b,
            (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.value, &b.value))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same_values(node in node()) {
            let text = print(&node, &|_| false);
            let again = parsed(&text);
            prop_assert!(same(&node, &again), "{node:?}\n{text}\n{again:?}");
        }
    }
}
