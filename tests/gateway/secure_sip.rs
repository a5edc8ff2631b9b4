//! SIP inside TLS between the gateway and a PBX that wants a certificate of it.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use trunkline::sip::{Certificate, Config, Transport};

use crate::setup::Setup;
use crate::sound::Coding;

/// The files of an authority, of the gateway and of the PBX.
struct Files {
    folder: PathBuf,
}

impl Files {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("trunkline-secure-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let files = Files { folder };
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = CertifiedIssuer::self_signed(params, key).expect("signed");
        fs::write(files.path("ca.pem"), authority.pem()).expect("written");
        for name in ["gateway.test", "pbx.test"] {
            let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
            let key = KeyPair::generate().expect("a key");
            let signed = params.signed_by(&key, &authority).expect("signed");
            fs::write(files.path(&format!("{name}.pem")), signed.pem()).expect("written");
            fs::write(files.path(&format!("{name}.key")), key.serialize_pem()).expect("written");
        }
        files
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Each shows a certificate to the other, and wants one.
    async fn setup(&self, sips: bool) -> Setup {
        let pbx = |config: &mut Config| {
            config.tls.certificate = Some(Certificate {
                chain: self.path("pbx.test.pem"),
                key: self.path("pbx.test.key"),
            });
            config.tls.authorities = Some(self.path("ca.pem"));
            config.tls.client_authorities = Some(self.path("ca.pem"));
            config.trunks[0].tls.name = Some("gateway.test".to_owned());
            config.trunks[0].sips = sips;
        };
        Setup::beside(Transport::Tls, pbx, |settings| {
            let sip = &mut settings.sip.tls;
            sip.certificate = Some(self.path("gateway.test.pem"));
            sip.certificate_key = Some(self.path("gateway.test.key"));
            sip.ca = Some(self.path("ca.pem"));
            sip.client_ca = Some(self.path("ca.pem"));
            let trunk = &mut settings.trunk[0];
            trunk.tls.name = Some("pbx.test".to_owned());
            if sips {
                trunk.addressing.target = trunk.addressing.target.replace("sip:", "sips:");
            }
        })
        .await
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn calls_go_both_ways(name: &str, sips: bool) {
    let files = Files::new(name);
    let mut setup = files.setup(sips).await;
    let talk = setup.call_out(Coding::Opus).await;
    talk.sounds().await;
    talk.end().await;
    setup.gateway.reload().await;

    setup.is_called("bob").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sip_over_tls_carries_calls_both_ways() {
    calls_go_both_ways("tls", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sips_carries_calls_both_ways() {
    calls_go_both_ways("sips", true).await;
}
