//! The sections of the document.

use poem_openapi::Tags as Sections;

#[derive(Sections)]
pub enum Tags {
    /// Registering, signing in and out. An access token lives for minutes, the refresh token that
    /// comes with it for weeks.
    Authentication,
    /// Where you are signed in.
    Sessions,
    /// Your own account.
    Account,
    /// The things to do.
    Tasks,
    /// Work that was asked for and is done later.
    Jobs,
    /// For those who run this instance.
    Operations,
}
