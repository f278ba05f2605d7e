//! The whole table as a file that can be read, and laws over every state that can be reached.

mod laws;
mod reach;
mod table;
