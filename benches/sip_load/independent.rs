//! The independent stack as a bare UAS: 200 to each INVITE and each BYE, by its transaction layer
//! alone.

use std::net::SocketAddr;

use rsipstack::EndpointBuilder;
use rsipstack::sip::{Header, Method, StatusCode};
use rsipstack::transport::TransportLayer;
use rsipstack::transport::udp::UdpConnection;
use tokio_util::sync::CancellationToken;

use crate::answering::SDP;

/// Answers until the process is ended.
pub async fn run() {
    let token = CancellationToken::new();
    let transport_layer = TransportLayer::new(token.clone());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let connection = UdpConnection::create_connection(any, None, Some(token.child_token()))
        .await
        .expect("a port");
    transport_layer.add_transport(connection.into());
    let endpoint = EndpointBuilder::new()
        .with_cancel_token(token)
        .with_transport_layer(transport_layer)
        .build();
    let address = endpoint.get_addrs()[0].addr.to_string();
    println!("{address}");
    let mut incoming = endpoint.incoming_transactions().expect("its queue");
    tokio::spawn(async move {
        let _ = endpoint.serve().await;
    });
    while let Some(mut transaction) = incoming.recv().await {
        let contact = format!("<sip:uas@{address}>");
        tokio::spawn(async move {
            if transaction.original.method == Method::Invite {
                // It leaves the 100 out where the answer comes at once; the same messages are
                // measured.
                let _ = transaction.send_trying().await;
            }
            let (headers, body) = match transaction.original.method {
                Method::Invite => {
                    let headers = vec![
                        Header::Contact(contact.into()),
                        Header::ContentType("application/sdp".into()),
                    ];
                    (headers, Some(SDP.as_bytes().to_vec()))
                }
                Method::Ack => return,
                _ => (Vec::new(), None),
            };
            let _ = transaction.reply_with(StatusCode::OK, headers, body).await;
            while transaction.receive().await.is_some() {}
        });
    }
}
