//! Certificates are read again when their files change, or when it is asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::credentials::Sources;
use super::inbound::Inbound;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Reads the files again when they change, or when `asked`; what is broken is said once and
/// changes nothing.
pub async fn watch(sources: Sources, asked: Arc<Notify>, inbound: mpsc::Sender<Inbound>) {
    let mut stamps = sources.stamps();
    loop {
        let told = tokio::select! {
            () = asked.notified() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        let looked = sources.stamps();
        if !told && looked == stamps {
            continue;
        }
        stamps = looked;
        match sources.load() {
            Ok(credentials) => {
                tracing::info!("sip certificates read again");
                if inbound
                    .send(Inbound::Credentials(credentials))
                    .await
                    .is_err()
                {
                    return;
                }
            }
            Err(error) => {
                metrics::counter!("trunkline_sip_certificate_errors_total").increment(1);
                tracing::error!(%error, "sip certificates stay as they were");
            }
        }
    }
}
