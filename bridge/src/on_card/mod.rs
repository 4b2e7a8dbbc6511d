//! A card for machines without one: how client and server agree on observations on a card can be tried there, message for
//! message.

mod stand_in;
mod stand_in_view;
mod uploaded;

pub use stand_in::StandIn;
pub use stand_in_view::StandInView;
pub use uploaded::Uploaded;
