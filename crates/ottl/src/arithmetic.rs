//! Calculating with numbers, times and durations, which wrap around as Go's do.

use crate::error::EvalError;
use crate::types::Types;
use crate::value::Value;

/// An arithmetic operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Operator {
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
        }
    }

    /// The types that the result can have; none if the operands never fit.
    pub(crate) fn types(self, left: Types, right: Types) -> Types {
        let mut types = Types::NONE;
        let mut case = |of: Types, and: Types, gives: Types| {
            if left.meets(of) && right.meets(and) {
                types = types | gives;
            }
        };
        case(Types::INT, Types::INT, Types::INT);
        case(Types::FLOAT, Types::NUMBER, Types::FLOAT);
        case(Types::INT, Types::FLOAT, Types::FLOAT);
        if matches!(self, Self::Add | Self::Subtract) {
            case(Types::TIME, Types::DURATION, Types::TIME);
            case(Types::DURATION, Types::DURATION, Types::DURATION);
        }
        match self {
            Self::Add => case(Types::DURATION, Types::TIME, Types::TIME),
            Self::Subtract => case(Types::TIME, Types::TIME, Types::DURATION),
            Self::Multiply | Self::Divide => {}
        }
        types
    }

    /// Applies the operator.
    #[expect(clippy::cast_precision_loss, reason = "an integer meets a float as a float")]
    pub(crate) fn apply(self, left: &Value<'_>, right: &Value<'_>) -> Result<Value<'static>, EvalError> {
        match (self, left, right) {
            (_, &Value::Int(left), &Value::Int(right)) => self.of_integers(left, right).map(Value::Int),
            (_, &Value::Int(left), &Value::Float(right)) => self.of_floats(left as f64, right),
            (_, &Value::Float(left), &Value::Int(right)) => self.of_floats(left, right as f64),
            (_, &Value::Float(left), &Value::Float(right)) => self.of_floats(left, right),
            (Self::Add, &Value::Time(time), &Value::Duration(duration))
            | (Self::Add, &Value::Duration(duration), &Value::Time(time)) => {
                Ok(Value::Time(time + i128::from(duration)))
            }
            (Self::Subtract, &Value::Time(time), &Value::Duration(duration)) => {
                Ok(Value::Time(time - i128::from(duration)))
            }
            (Self::Subtract, &Value::Time(left), &Value::Time(right)) => {
                Ok(Value::Duration(saturate(left - right)))
            }
            (Self::Add, &Value::Duration(left), &Value::Duration(right)) => {
                Ok(Value::Duration(left.wrapping_add(right)))
            }
            (Self::Subtract, &Value::Duration(left), &Value::Duration(right)) => {
                Ok(Value::Duration(left.wrapping_sub(right)))
            }
            _ => Err(EvalError::Operands { left: left.kind(), operator: self.symbol(), right: right.kind() }),
        }
    }

    fn of_integers(self, left: i64, right: i64) -> Result<i64, EvalError> {
        Ok(match self {
            Self::Add => left.wrapping_add(right),
            Self::Subtract => left.wrapping_sub(right),
            Self::Multiply => left.wrapping_mul(right),
            Self::Divide if right == 0 => return Err(EvalError::DivisionByZero),
            Self::Divide => left.wrapping_div(right),
        })
    }

    fn of_floats(self, left: f64, right: f64) -> Result<Value<'static>, EvalError> {
        Ok(Value::Float(match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide if right == 0.0 => return Err(EvalError::DivisionByZero),
            Self::Divide => left / right,
        }))
    }
}

/// The value with its sign changed.
pub(crate) fn negate(value: &Value<'_>) -> Result<Value<'static>, EvalError> {
    match value {
        Value::Int(number) => Ok(Value::Int(number.wrapping_neg())),
        Value::Float(number) => Ok(Value::Float(-number)),
        other => Err(EvalError::Type { expected: "int or float", found: other.kind() }),
    }
}

/// The nearest duration.
fn saturate(nanoseconds: i128) -> i64 {
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}
